import { stat } from 'node:fs/promises';
import { DstError } from '../errors.js';
import { checkSize } from './check-size.js';
import type { BlockDevice } from './device.js';
import { openDiskDevice } from './disk-device.js';
import { openFileDevice } from './file-device.js';
import type { LocalDeviceOptions } from './local-device.js';
import { MemoryDevice } from './memory-device.js';
import { parseSize } from './size.js';

const MEMORY_PREFIX = 'memory:';

/**
 * Opens local storage by what a user calls it: `memory:SIZE`, the path of a disk, or else
 * the path of a file. Throws what those kinds throw.
 */
export async function openDevice(
  spec: string,
  options: LocalDeviceOptions = {},
): Promise<BlockDevice> {
  if (isMemory(spec)) return openMemory(spec, options);
  if (await isDisk(spec)) return openDiskDevice(spec, options);
  return openFileDevice(spec, options);
}

/** Whether this names memory, which ends with the process. */
export function isMemory(spec: string): boolean {
  return spec.startsWith(MEMORY_PREFIX);
}

function openMemory(spec: string, options: LocalDeviceOptions): BlockDevice {
  if (options.sizeBytes !== undefined) {
    throw new DstError('DST_E_SIZE', `${spec} says its size: leave --size out`);
  }
  const sizeBytes = parseSize(spec.slice(MEMORY_PREFIX.length));
  checkSize(spec, sizeBytes);
  return new MemoryDevice(sizeBytes, { readOnly: options.readOnly ?? false });
}

async function isDisk(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isBlockDevice();
  } catch {
    // Opening it as a file tells what is wrong with it.
    return false;
  }
}
