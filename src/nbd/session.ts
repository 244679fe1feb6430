import type { BlockDevice, Capabilities } from '../block/device.js';
import {
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_FLAG_HAS_FLAGS,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_ROTATIONAL,
  NBD_FLAG_SEND_CACHE,
  NBD_FLAG_SEND_DF,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_FUA,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
} from './constants.js';

/**
 * What a client was promised when its handshake ended. Requests are judged by it, even if
 * the device changes later: the client cannot know.
 */
export interface Session {
  readonly sizeBytes: number;
  readonly minimumBlockBytes: number;
  /** NBD_FLAG_* bits, as the client was told. */
  readonly transmissionFlags: number;
  readonly structuredReplies: boolean;
  /** The client selected base:allocation, and so may send NBD_CMD_BLOCK_STATUS. */
  readonly allocationContext: boolean;
}

/** What is agreed in options on the way to a session. */
export interface Agreed {
  structuredReplies: boolean;
  allocationContext: boolean;
}

/** The session that a client enters with a device as it is now. */
export function sessionOf(device: BlockDevice, agreed: Agreed): Session {
  return {
    sizeBytes: device.geometry.sizeBytes,
    minimumBlockBytes: device.geometry.minimumBlockBytes,
    transmissionFlags: transmissionFlagsOf(device.capabilities, agreed.structuredReplies),
    ...agreed,
  };
}

/**
 * NBD specification, "Transmission flags".
 *
 * CAN_MULTI_CONN always holds: all clients share one device, so a flush by one covers the
 * writes of the others. A read-only device offers no command that changes it.
 */
export function transmissionFlagsOf(device: Capabilities, structuredReplies: boolean): number {
  let flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN;
  if (device.flush) flags |= NBD_FLAG_SEND_FLUSH;
  if (device.fua) flags |= NBD_FLAG_SEND_FUA;
  if (device.rotational) flags |= NBD_FLAG_ROTATIONAL;
  if (device.cache) flags |= NBD_FLAG_SEND_CACHE;
  if (structuredReplies) flags |= NBD_FLAG_SEND_DF;
  if (device.readOnly) return flags | NBD_FLAG_READ_ONLY;
  if (device.trim) flags |= NBD_FLAG_SEND_TRIM;
  if (device.writeZeroes) flags |= NBD_FLAG_SEND_WRITE_ZEROES;
  if (device.writeZeroes && device.fastZero) flags |= NBD_FLAG_SEND_FAST_ZERO;
  return flags;
}
