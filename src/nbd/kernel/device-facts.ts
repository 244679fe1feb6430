import type { BlockDevice } from '../../block/device.js';
import { DstError } from '../../errors.js';
import { SECTOR_BYTES } from '../../limits.js';
import { NBD_FLAG_READ_ONLY, NBD_FLAG_ROTATIONAL } from '../constants.js';
import { transmissionFlagsOf } from '../session.js';

/** What the kernel is told of a device when it is attached, and goes by from then on. */
export interface DeviceFacts {
  /** A multiple of `blockBytes`. */
  readonly sizeBytes: number;
  /** The kernel's logical and physical block: no command is smaller. */
  readonly blockBytes: number;
  /** NBD_FLAG_* bits. */
  readonly transmissionFlags: number;
}

/** What the kernel would be told of a device as it is now. */
export function factsOf(device: BlockDevice): DeviceFacts {
  const { minimumBlockBytes, sizeBytes } = device.geometry;
  const blockBytes = Math.max(SECTOR_BYTES, minimumBlockBytes);
  return {
    sizeBytes: wholeBlocks(sizeBytes, blockBytes),
    blockBytes,
    transmissionFlags: transmissionFlagsOf(device.capabilities, false),
  };
}

/** The size that the kernel is told: a rest that is no whole block cannot be used. */
export function wholeBlocks(sizeBytes: number, blockBytes: number): number {
  return sizeBytes - (sizeBytes % blockBytes);
}

/**
 * Holds a device against what the kernel was told of it by a client before this one, and will
 * go by. A new size is fine. Throws DST_E_EXPORT_CHANGED where commands would fail.
 */
export function checkStillHolds(told: DeviceFacts, device: BlockDevice): void {
  const change = changeFor(told, factsOf(device));
  if (change === undefined) return;
  throw new DstError(
    'DST_E_EXPORT_CHANGED',
    `${device.description} is not what the kernel was told when it was attached: ${change}; make it what it was, or detach the device with "dst-quic disconnect --force"`,
  );
}

function changeFor(told: DeviceFacts, now: DeviceFacts): string | undefined {
  const gained = now.transmissionFlags & ~told.transmissionFlags;
  const lost = told.transmissionFlags & ~now.transmissionFlags;
  if (now.blockBytes > told.blockBytes) {
    return `its blocks have ${now.blockBytes} bytes and had ${told.blockBytes}`;
  }
  if ((gained & NBD_FLAG_READ_ONLY) !== 0) return 'it may only be read';
  if ((lost & ~NO_COMMANDS) !== 0) return `it lacks commands (NBD flags 0x${lost.toString(16)})`;
  return undefined;
}

/** Flags whose lack makes no command fail. */
const NO_COMMANDS = NBD_FLAG_ROTATIONAL | NBD_FLAG_READ_ONLY;
