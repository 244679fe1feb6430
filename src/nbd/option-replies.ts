import type { Geometry } from '../block/device.js';
import { NBD_PAYLOAD_BYTES_MAX, NBD_STRING_BYTES_MAX } from '../limits.js';
import { lengthOf } from '../pieces.js';
import {
  NBD_EXPORT_NAME_PADDING_BYTES,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_EXPORT,
  NBD_MAGIC,
  NBD_OPTS_MAGIC,
  NBD_REP_ACK,
  NBD_REP_INFO,
  NBD_REP_MAGIC,
  NBD_REP_META_CONTEXT,
  NBD_REP_SERVER,
} from './constants.js';
import { cutText } from './replies.js';
import type { Session } from './session.js';

const REPLY_HEADER_BYTES = 20;
/** The specification's least preferred block size. */
const PREFERRED_BLOCK_BYTES_MIN = 512;

/** What the server says first. */
export function greeting(): Buffer {
  return Buffer.concat([
    NBD_MAGIC,
    NBD_OPTS_MAGIC,
    uint16(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES),
  ]);
}

/** Any reply to an option: NBD_REP_*, with its data. */
export function optionReply(option: number, type: number, ...data: readonly Buffer[]): Buffer {
  const header = Buffer.allocUnsafe(REPLY_HEADER_BYTES);
  header.writeBigUInt64BE(NBD_REP_MAGIC, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(type, 12);
  header.writeUInt32BE(lengthOf(data), 16);
  return Buffer.concat([header, ...data]);
}

export function ackReply(option: number): Buffer {
  return optionReply(option, NBD_REP_ACK);
}

/** NBD_REP_ERR_*, with a sentence. */
export function errorReply(option: number, type: number, message: string): Buffer {
  return optionReply(option, type, text(message));
}

/** One entry of the list of exports. */
export function serverReply(option: number, name: string, description: string): Buffer {
  const nameBytes = text(name);
  return optionReply(
    option,
    NBD_REP_SERVER,
    uint32(nameBytes.length),
    nameBytes,
    text(description),
  );
}

export function exportInfoReply(option: number, session: Session): Buffer {
  return optionReply(option, NBD_REP_INFO, uint16(NBD_INFO_EXPORT), exportFacts(session));
}

/** NBD_INFO_NAME or NBD_INFO_DESCRIPTION. */
export function textInfoReply(option: number, info: number, value: string): Buffer {
  return optionReply(option, NBD_REP_INFO, uint16(info), text(value));
}

export function blockSizeInfoReply(option: number, geometry: Geometry): Buffer {
  const preferred = Math.max(
    geometry.preferredBlockBytes,
    geometry.minimumBlockBytes,
    PREFERRED_BLOCK_BYTES_MIN,
  );
  return optionReply(
    option,
    NBD_REP_INFO,
    uint16(NBD_INFO_BLOCK_SIZE),
    uint32(geometry.minimumBlockBytes),
    uint32(preferred),
    uint32(NBD_PAYLOAD_BYTES_MAX),
  );
}

export function contextReply(option: number, contextId: number, name: string): Buffer {
  return optionReply(option, NBD_REP_META_CONTEXT, uint32(contextId), text(name));
}

/** The answer to NBD_OPT_EXPORT_NAME, which has no reply header. */
export function exportNameAnswer(session: Session, noZeroes: boolean): Buffer {
  const padding = Buffer.alloc(noZeroes ? 0 : NBD_EXPORT_NAME_PADDING_BYTES);
  return Buffer.concat([exportFacts(session), padding]);
}

function exportFacts(session: Session): Buffer {
  const facts = Buffer.allocUnsafe(10);
  facts.writeBigUInt64BE(BigInt(session.sizeBytes), 0);
  facts.writeUInt16BE(session.transmissionFlags, 8);
  return facts;
}

function text(value: string): Buffer {
  return cutText(value, NBD_STRING_BYTES_MAX);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
