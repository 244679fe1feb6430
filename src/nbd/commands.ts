import type { BlockDevice, WriteFlags } from '../block/device.js';
import type { Payload } from '../block/payload.js';
import { DstError } from '../errors.js';
import { NBD_STATUS_REPLY_BYTES_MAX } from '../limits.js';
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
} from './constants.js';
import type { Request } from './request.js';
import { commandName } from './validate.js';

const NO_FLAGS: WriteFlags = {};
const FUA: WriteFlags = { fua: true };

/**
 * Runs a command that is answered without data: all but read, block status and DISC.
 * `payload` is a write's, which is passed on without a copy.
 */
export function runCommand(device: BlockDevice, request: Request, payload: Payload): Promise<void> {
  const { offset, lengthBytes } = request;
  const flags = (request.flags & NBD_CMD_FLAG_FUA) === 0 ? NO_FLAGS : FUA;
  switch (request.command) {
    case NBD_CMD_WRITE:
      return device.write(offset, payload, flags);
    case NBD_CMD_FLUSH:
      return device.flush();
    case NBD_CMD_TRIM:
      return device.trim(offset, lengthBytes, flags);
    case NBD_CMD_CACHE:
      return device.cache(offset, lengthBytes);
    case NBD_CMD_WRITE_ZEROES:
      return device.writeZeroes(offset, lengthBytes, {
        ...flags,
        noHole: (request.flags & NBD_CMD_FLAG_NO_HOLE) !== 0,
        fastZero: (request.flags & NBD_CMD_FLAG_FAST_ZERO) !== 0,
      });
    default:
      throw new Error(`no valid request is a ${commandName(request.command)}`);
  }
}

/** The payload, its own or its reply's, that a request may hold in memory while it is in flight. */
export function payloadBytes(request: Request): number {
  const { command, lengthBytes } = request;
  if (command === NBD_CMD_BLOCK_STATUS) return NBD_STATUS_REPLY_BYTES_MAX;
  return command === NBD_CMD_READ || command === NBD_CMD_WRITE ? lengthBytes : 0;
}

/** A device that breaks its contract; passed on, its answer would corrupt the reply stream. */
export function wrongLength(device: BlockDevice, request: Request, lengthBytes: number): DstError {
  return new DstError(
    'DST_E_DEVICE_ANSWER',
    `${device.description} answered a ${commandName(request.command)} of ${request.lengthBytes} bytes with ${lengthBytes}`,
    { errno: 'EIO' },
  );
}
