import { DstError } from '../errors.js';
import type { BlockDevice } from './device.js';

export type CommandName = 'read' | 'write' | 'trim' | 'write zeroes' | 'block status' | 'cache';

const CHANGES = new Set<CommandName>(['write', 'trim', 'write zeroes']);

/**
 * The single check of a command's range against a device, for every device kind.
 *
 * Errno per the NBD specification ("Error values"): EPERM for a change of a read-only
 * device, ENOSPC for a write or write-zeroes past the end, else EINVAL.
 */
export function checkRange(
  device: Pick<BlockDevice, 'geometry' | 'capabilities' | 'description'>,
  command: CommandName,
  offset: number,
  lengthBytes: number,
): void {
  const { sizeBytes, minimumBlockBytes } = device.geometry;
  if (device.capabilities.readOnly && CHANGES.has(command)) {
    throw new DstError('DST_E_READ_ONLY', `${device.description} is read-only`, { errno: 'EPERM' });
  }
  if (offset < 0 || lengthBytes < 0 || offset + lengthBytes > sizeBytes) {
    const errno = command === 'write' || command === 'write zeroes' ? 'ENOSPC' : 'EINVAL';
    throw new DstError(
      'DST_E_RANGE',
      `${command} of ${lengthBytes} bytes at ${offset} is past the end of ${device.description} (${sizeBytes} bytes)`,
      { errno },
    );
  }
  if (offset % minimumBlockBytes !== 0 || lengthBytes % minimumBlockBytes !== 0) {
    throw new DstError(
      'DST_E_ALIGNMENT',
      `${command} of ${lengthBytes} bytes at ${offset} is not aligned to the ${minimumBlockBytes}-byte blocks of ${device.description}`,
      { errno: 'EINVAL' },
    );
  }
}
