import { lengthOf } from '../pieces.js';

/**
 * Bytes on their way between a socket, a stream and a disk, as the pieces in which they
 * arrived, so that nobody has to join them.
 *
 * Ownership: whoever is handed a payload by `read()` calls `release()` once, when the
 * bytes have been passed on; after it the pieces may be reused for other data. Whoever
 * passes a payload to `write()` keeps it unchanged until the returned promise settles,
 * and releases it himself.
 */
export interface Payload {
  readonly pieces: readonly Buffer[];
  readonly lengthBytes: number;
  release(): void;
}

function nothing(): void {}

/** A payload over buffers that the garbage collector owns. */
export function payloadOf(pieces: readonly Buffer[]): Payload {
  return { pieces, lengthBytes: lengthOf(pieces), release: nothing };
}

/** The payload's bytes in one buffer: the piece itself where there is only one. */
export function joinPayload(payload: Payload): Buffer {
  const [first] = payload.pieces;
  if (first !== undefined && payload.pieces.length === 1) return first;
  return Buffer.concat(payload.pieces as Buffer[], payload.lengthBytes);
}

/**
 * The pieces that cover `lengthBytes` from `offset` of a payload, without a copy.
 * The range must lie within the payload.
 */
export function slicePieces(payload: Payload, offset: number, lengthBytes: number): Buffer[] {
  const slices: Buffer[] = [];
  let skip = offset;
  let left = lengthBytes;
  for (const piece of payload.pieces) {
    if (left === 0) break;
    if (skip >= piece.length) {
      skip -= piece.length;
      continue;
    }
    const slice = piece.subarray(skip, Math.min(piece.length, skip + left));
    slices.push(slice);
    left -= slice.length;
    skip = 0;
  }
  return slices;
}
