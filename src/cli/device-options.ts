import { Option } from 'commander';
import {
  KERNEL_CONNECTIONS_DEFAULT,
  KERNEL_CONNECTIONS_MAX,
  ORPHAN_TIMEOUT_MS,
  ORPHAN_TIMEOUT_MS_MAX,
  ORPHAN_TIMEOUT_MS_MIN,
} from '../limits.js';
import { type DeviceChoice, parseDeviceChoice } from '../nbd/kernel/device-name.js';
import { formatDuration } from './duration.js';
import { parseTyped, UsageError } from './exit.js';
import { durationOption } from './options.js';

/** How `connect` makes a store one of the kernel's block devices. */
export interface DeviceOptions {
  readonly device?: DeviceChoice;
  readonly kernelConnections: number;
  /** Milliseconds. */
  readonly orphanTimeout: number;
  /** False for --no-tune. */
  readonly tune: boolean;
}

export function deviceOptions(): Option[] {
  return [
    new Option(
      '--device <path|auto>',
      'serve as this block device of the kernel, /dev/nbd0 or another, or as the first that is free; takes over a device of the same export whose client is gone',
    )
      .argParser((text) => parseTyped(() => parseDeviceChoice(text)))
      .conflicts(['socket', 'listen']),
    new Option('--kernel-connections <n>', 'sockets between the kernel and this client')
      .argParser(parseConnections)
      .default(KERNEL_CONNECTIONS_DEFAULT),
    durationOption(
      '--orphan-timeout <time>',
      'how long the commands of a device wait for the next client when this one is gone, before they fail',
      { minMs: ORPHAN_TIMEOUT_MS_MIN, maxMs: ORPHAN_TIMEOUT_MS_MAX },
    ).default(ORPHAN_TIMEOUT_MS, formatDuration(ORPHAN_TIMEOUT_MS)),
    new Option('--no-tune', 'leave the queue settings of the device as the kernel has them'),
  ];
}

function parseConnections(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= KERNEL_CONNECTIONS_MAX) return count;
  throw new UsageError(
    `--kernel-connections "${text}" will not do: give a number from 1 to ${KERNEL_CONNECTIONS_MAX}`,
  );
}
