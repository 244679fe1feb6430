import { Packr } from 'msgpackr/pack';
import { lengthOf } from '../pieces.js';
import type { ControlKind, ReplyKind, RequestFrame } from './frame.js';
import { NO_CHECKSUM, NO_PIECES } from './frame.js';
import { writeHead } from './head-writer.js';

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
  const payloadBytes = lengthOf(request.payload);
  const head = writeHead(
    [
      request.kind,
      request.transaction,
      request.flags,
      payloadBytes,
      request.retired,
      request.offset,
      request.lengthBytes,
    ],
    request.checksum,
    payloadBytes,
  );
  return frame(head, payloadBytes, request.payload);
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
  const head = writeHead(
    [kind, transaction, options.errno ?? 0, payloadBytes],
    options.checksum ?? NO_CHECKSUM,
    payloadBytes,
  );
  return frame(head, payloadBytes, options.payload ?? NO_PIECES);
}

/** A control frame as one buffer; without a body, the frame has no payload. */
export function encodeControl(
  kind: ControlKind,
  sequence: number,
  body?: Readonly<Record<string, unknown>>,
): Buffer {
  const payload = body === undefined ? undefined : encodeBody(body);
  const payloadBytes = payload?.length ?? 0;
  const head = writeHead([kind, sequence, 0, payloadBytes], undefined, payloadBytes);
  return Buffer.concat(frame(head, payloadBytes, payload ? [payload] : []));
}

function frame(head: Buffer, payloadBytes: number, payload: readonly Buffer[]): Buffer[] {
  return payloadBytes === 0 ? [head] : [head, ...payload];
}
