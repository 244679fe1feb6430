import { Packr } from 'msgpackr/pack';
import { invariant } from '../errors.js';
import { FRAME_HEADER_BYTES_MAX } from '../limits.js';
import type { ControlKind, ReplyKind, RequestFrame } from './frame.js';
import { NO_CHECKSUM } from './frame.js';

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** Encodes a msgpack value that travels as a payload: the body of a control frame, extents. */
export function encodeBody(body: unknown): Buffer {
  return packr.pack(body);
}

/**
 * A request as the pieces to write, in order (docs/PROTOCOL.md, "Requests"). The payload's
 * pieces are passed on as they are, never copied.
 */
export function encodeRequest(request: RequestFrame): Buffer[] {
  let payloadBytes = 0;
  for (const piece of request.payload) payloadBytes += piece.length;
  const header = packr.pack([
    request.kind,
    request.transaction,
    request.flags,
    payloadBytes,
    request.retired,
    request.offset,
    request.lengthBytes,
    request.checksum,
  ]);
  return frame(header, payloadBytes, request.payload);
}

/** A reply as the pieces to write (docs/PROTOCOL.md, "Replies"). */
export function encodeReply(
  kind: ReplyKind,
  transaction: number,
  options: {
    readonly errno?: number;
    readonly checksum?: Buffer;
    readonly payload?: readonly Buffer[];
    readonly payloadBytes?: number;
  } = {},
): Buffer[] {
  const payloadBytes = options.payloadBytes ?? 0;
  const header = packr.pack([
    kind,
    transaction,
    options.errno ?? 0,
    payloadBytes,
    options.checksum ?? NO_CHECKSUM,
  ]);
  return frame(header, payloadBytes, options.payload ?? []);
}

/** A control frame as one buffer; without a body, the frame has no payload. */
export function encodeControl(
  kind: ControlKind,
  sequence: number,
  body?: Readonly<Record<string, unknown>>,
): Buffer {
  const payload = body === undefined ? undefined : encodeBody(body);
  const header = packr.pack([kind, sequence, 0, payload?.length ?? 0]);
  return Buffer.concat(frame(header, payload?.length ?? 0, payload ? [payload] : []));
}

/** Header length, header and bin marker in one small buffer; then the payload's pieces. */
function frame(header: Buffer, payloadBytes: number, payload: readonly Buffer[]): Buffer[] {
  invariant(header.length <= FRAME_HEADER_BYTES_MAX, `a header of ${header.length} bytes`);
  if (payloadBytes === 0) {
    const head = Buffer.allocUnsafe(1 + header.length);
    head[0] = header.length;
    header.copy(head, 1);
    return [head];
  }
  const head = Buffer.allocUnsafe(1 + header.length + binMarkerBytes(payloadBytes));
  head[0] = header.length;
  header.copy(head, 1);
  writeBinMarker(head, 1 + header.length, payloadBytes);
  return [head, ...payload];
}

function binMarkerBytes(lengthBytes: number): number {
  if (lengthBytes < 0x100) return 2;
  return lengthBytes < 0x10000 ? 3 : 5;
}

/** The marker of a msgpack bin 8, bin 16 or bin 32, the shortest that holds the length. */
function writeBinMarker(target: Buffer, at: number, lengthBytes: number): void {
  if (lengthBytes < 0x100) {
    target[at] = 0xc4;
    target[at + 1] = lengthBytes;
  } else if (lengthBytes < 0x10000) {
    target[at] = 0xc5;
    target.writeUInt16BE(lengthBytes, at + 1);
  } else {
    target[at] = 0xc6;
    target.writeUInt32BE(lengthBytes, at + 1);
  }
}
