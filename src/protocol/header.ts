import { Unpackr } from 'msgpackr/unpack';
import { DstError } from '../errors.js';
import { BODY_DEPTH_MAX, DEVICE_BYTES_MAX } from '../limits.js';
import { kindName, NO_CHECKSUM } from './frame.js';
import { FLAGS_ALLOWED, KIND } from './kinds.js';
import { quickElements } from './quick-header.js';
import { isPlain } from './scan.js';

// From 'msgpackr/unpack' (and, to encode, 'msgpackr/pack'): the package's main entry has
// strings read by native code, which would see a peer's bytes and has nothing to speed up.
// `copyBuffers` so that a kept checksum does not pin the 64 KiB chunk that it arrived in.
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number', copyBuffers: true });

/** A header as its raw elements, checked. Frames without a field leave it 0 or empty. */
export interface Header {
  readonly kind: number;
  readonly transaction: number;
  /** Flags of a request, errno of a reply. */
  readonly flags: number;
  readonly payloadBytes: number;
  readonly retired: number;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly checksum: Buffer;
}

const CHECKSUM_BYTES_MAX = 64;
/** A header is an array of integers and one bin: nothing lies within anything else. */
const HEADER_DEPTH = 1;

/** Decodes a msgpack value that travels as a payload. Throws DST_E_PROTOCOL on garbage. */
export function decodeBody(bytes: Buffer): unknown {
  return decodePlain(bytes, BODY_DEPTH_MAX, 'body');
}

/** Like `decodeBody`, for a body that must be a map with string keys. */
export function decodeMap(bytes: Buffer): Record<string, unknown> {
  const body = decodeBody(bytes);
  if (typeof body !== 'object' || body === null || Array.isArray(body) || Buffer.isBuffer(body)) {
    throw protocolError('a body that is not a map');
  }
  return body as Record<string, unknown>;
}

/**
 * Decodes and checks one header, which lies in `bytes` from `start` to `end` (docs/PROTOCOL.md,
 * "Header"). Throws DST_E_PROTOCOL for anything that the specification does not allow; it never
 * trusts a type or a range.
 */
export function decodeHeader(bytes: Buffer, start = 0, end = bytes.length): Header {
  const values: unknown =
    quickElements(bytes, start, end) ??
    decodePlain(bytes.subarray(start, end), HEADER_DEPTH, 'header');
  if (!Array.isArray(values)) throw protocolError('a header that is not an array');
  const kind = integer(values[0], 0xff, 'kind');
  if (kind >= KIND.read && kind <= KIND.hash) return requestHeader(kind, values);
  if (kind >= KIND.done && kind <= KIND.failed) return replyHeader(kind, values);
  if (kind >= KIND.hello && kind <= KIND.proof) return controlHeader(kind, values);
  throw protocolError(`a frame of ${kindName(kind)}`);
}

/** msgpackr may throw anything on bytes that it does not like; `isPlain` leaves it little. */
function decodePlain(bytes: Buffer, depthMax: number, what: string): unknown {
  if (!isPlain(bytes, depthMax)) throw protocolError(`a ${what} that is not plain msgpack`);
  try {
    return unpackr.unpack(bytes);
  } catch (cause) {
    throw protocolError(`a ${what} that is not msgpack`, cause);
  }
}

function requestHeader(kind: number, values: unknown[]): Header {
  expectLength(kind, values, 8);
  const flags = integer(values[2], 0xff, 'flags');
  if ((flags & ~(FLAGS_ALLOWED[kind] ?? 0)) !== 0) {
    throw protocolError(`flags 0x${flags.toString(16)} on ${kindName(kind)}`);
  }
  const header = {
    kind,
    transaction: integer(values[1], Number.MAX_SAFE_INTEGER, 'transaction'),
    flags,
    payloadBytes: integer(values[3], 0xffffffff, 'payload length'),
    retired: integer(values[4], Number.MAX_SAFE_INTEGER, 'retired mark'),
    offset: integer(values[5], DEVICE_BYTES_MAX, 'offset'),
    lengthBytes: integer(values[6], DEVICE_BYTES_MAX, 'length'),
    checksum: checksum(values[7]),
  };
  const expectedBytes = kind === KIND.write ? header.lengthBytes : 0;
  if (header.payloadBytes !== expectedBytes) {
    throw protocolError(`a payload of ${header.payloadBytes} bytes on ${kindName(kind)}`);
  }
  return header;
}

function replyHeader(kind: number, values: unknown[]): Header {
  expectLength(kind, values, 5);
  const payloadBytes = integer(values[3], 0xffffffff, 'payload length');
  if (kind === KIND.done && payloadBytes !== 0) throw protocolError('a payload on done');
  return {
    kind,
    transaction: integer(values[1], Number.MAX_SAFE_INTEGER, 'transaction'),
    flags: integer(values[2], 0xffff, 'errno'),
    payloadBytes,
    retired: 0,
    offset: 0,
    lengthBytes: 0,
    checksum: checksum(values[4]),
  };
}

function controlHeader(kind: number, values: unknown[]): Header {
  expectLength(kind, values, 4);
  return {
    kind,
    transaction: integer(values[1], Number.MAX_SAFE_INTEGER, 'sequence'),
    flags: integer(values[2], 0, 'flags'),
    payloadBytes: integer(values[3], 0xffffffff, 'payload length'),
    retired: 0,
    offset: 0,
    lengthBytes: 0,
    checksum: NO_CHECKSUM,
  };
}

function expectLength(kind: number, values: unknown[], expected: number): void {
  if (values.length !== expected) {
    throw protocolError(`${kindName(kind)} with ${values.length} header elements`);
  }
}

function integer(value: unknown, max: number, what: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) {
    return value;
  }
  throw protocolError(`a ${what} that is not an integer from 0 to ${max}`);
}

function checksum(value: unknown): Buffer {
  if (value instanceof Uint8Array && value.length <= CHECKSUM_BYTES_MAX) {
    return Buffer.isBuffer(value) ? value : Buffer.from(value);
  }
  throw protocolError('a checksum that is not a bin of at most 64 bytes');
}

/** A peer broke the protocol: its connection is closed, and nothing else is. */
export function protocolError(what: string, cause?: unknown): DstError {
  return new DstError(
    'DST_E_PROTOCOL',
    `the peer sent ${what}: it does not speak dst/1, or the line damages data`,
    { errno: 'EIO', cause },
  );
}
