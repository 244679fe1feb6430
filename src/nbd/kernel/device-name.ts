import { DstError } from '../../errors.js';
import { KERNEL_DEVICE_INDEX_MAX } from '../../limits.js';
import { printable } from '../../printable.js';

/** Which of the kernel's NBD devices is meant: one, or any that is free. */
export type DeviceChoice = { readonly index: number } | 'auto';

const NAME = /^(?:\/dev\/)?nbd(0|[1-9]\d*)$/;
const PARTITION = /^(?:\/dev\/)?(nbd\d+)p\d+$/;

/**
 * Reads "/dev/nbd0", "nbd0" or "auto". Throws DST_E_DEVICE_NAME for anything else, partitions
 * among them: only a whole device can be attached.
 */
export function parseDeviceChoice(text: string): DeviceChoice {
  if (text === 'auto') return 'auto';
  const index = Number(NAME.exec(text)?.[1] ?? Number.NaN);
  if (index <= KERNEL_DEVICE_INDEX_MAX) return { index };
  const whole = PARTITION.exec(text)?.[1];
  throw new DstError(
    'DST_E_DEVICE_NAME',
    whole === undefined
      ? `"${printable(text)}" is no NBD device: give /dev/nbd0 to /dev/nbd${KERNEL_DEVICE_INDEX_MAX}, or auto`
      : `${printable(text)} is a partition: give the whole device, /dev/${whole}`,
  );
}

/** "nbd0" for 0. */
export function deviceName(index: number): string {
  return `nbd${index}`;
}

/** "/dev/nbd0" for 0. */
export function devicePath(index: number): string {
  return `/dev/${deviceName(index)}`;
}
