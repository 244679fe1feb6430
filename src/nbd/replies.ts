import type { Extent } from '../block/device.js';
import type { Payload } from '../block/payload.js';
import { type ErrnoName, NBD_ERRNO } from '../errors.js';
import { NBD_ERROR_MESSAGE_BYTES_MAX, NBD_REPLY_SLAB_BYTES } from '../limits.js';
import {
  NBD_CMD_FLAG_REQ_ONE,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_BLOCK_STATUS,
  NBD_REPLY_TYPE_ERROR,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_SIMPLE_REPLY_BYTES,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STATE_HOLE,
  NBD_STATE_ZERO,
  NBD_STRUCTURED_REPLY_BYTES,
  NBD_STRUCTURED_REPLY_MAGIC,
} from './constants.js';
import type { Request } from './request.js';

/** The bytes of OFFSET_DATA before the data: the offset. */
const OFFSET_DATA_BYTES = 8;
/** The bytes of an error chunk before its message. */
const ERROR_BYTES = 6;
const EXTENT_BYTES = 8;
/** Lengths are 32 bits, and multiples of any minimum block size (at most 64 KiB). */
const EXTENT_LENGTH_BYTES_MAX = 2 ** 32 - 64 * 1024;

/**
 * The replies of one event-loop turn, as the pieces to write.
 *
 * Headers are laid one behind the other in a slab, so that any number of replies without
 * data between them is one piece; data pieces are passed on as they are.
 *
 * ```
 *   slab    |sent ....|header header header|header|free ...|
 *   pieces             ^ one piece          ^ one   (data pieces in between)
 * ```
 */
export class ReplyBatch {
  #slab = Buffer.allocUnsafeSlow(NBD_REPLY_SLAB_BYTES);
  /** Headers from here to `#end` are in no piece yet. */
  #start = 0;
  #end = 0;
  #pieces: Buffer[] = [];

  get empty(): boolean {
    return this.#pieces.length === 0 && this.#start === this.#end;
  }

  /** Success without data, of any command but a structured read or block status. */
  success(request: Request): void {
    this.#simple(request, 0);
  }

  failure(request: Request, errno: ErrnoName): void {
    this.#simple(request, NBD_ERRNO[errno]);
  }

  /** The payload's pieces must stay as they are until the batch has been written. */
  read(request: Request, payload: Payload): void {
    this.#simple(request, 0);
    this.#data(payload);
  }

  /**
   * One chunk, and with it the whole reply: the data is at hand, so that no error can
   * follow, and DF is always honoured.
   */
  structuredRead(request: Request, payload: Payload): void {
    const lengthBytes = OFFSET_DATA_BYTES + payload.lengthBytes;
    const at = this.#chunk(
      request,
      NBD_REPLY_TYPE_OFFSET_DATA,
      lengthBytes,
      NBD_STRUCTURED_REPLY_BYTES + OFFSET_DATA_BYTES,
    );
    this.#slab.writeUInt32BE(Math.floor(request.offset / 2 ** 32), at);
    this.#slab.writeUInt32BE(request.offset % 2 ** 32, at + 4);
    this.#data(payload);
  }

  /** An error that carries a sentence. */
  structuredFailure(request: Request, errno: ErrnoName, message: string): void {
    const text = cutText(message, NBD_ERROR_MESSAGE_BYTES_MAX);
    const lengthBytes = ERROR_BYTES + text.length;
    const at = this.#chunk(
      request,
      NBD_REPLY_TYPE_ERROR,
      lengthBytes,
      NBD_STRUCTURED_REPLY_BYTES + lengthBytes,
    );
    this.#slab.writeUInt32BE(NBD_ERRNO[errno], at);
    this.#slab.writeUInt16BE(text.length, at + 4);
    text.copy(this.#slab, at + ERROR_BYTES);
  }

  /** `extents` are as `clipExtents` leaves them: at least one. */
  blockStatus(request: Request, contextId: number, extents: readonly Extent[]): void {
    const body = Buffer.allocUnsafe(4 + extents.length * EXTENT_BYTES);
    let at = body.writeUInt32BE(contextId, 0);
    for (const extent of extents) {
      at = body.writeUInt32BE(extent.lengthBytes, at);
      const state = (extent.hole ? NBD_STATE_HOLE : 0) | (extent.zero ? NBD_STATE_ZERO : 0);
      at = body.writeUInt32BE(state, at);
    }
    this.#chunk(request, NBD_REPLY_TYPE_BLOCK_STATUS, body.length, NBD_STRUCTURED_REPLY_BYTES);
    this.#piece(body);
  }

  /** What was batched, in order; the batch is empty again. */
  take(): Buffer[] {
    this.#endRun();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  #simple(request: Request, error: number): void {
    const at = this.#reserve(NBD_SIMPLE_REPLY_BYTES);
    const slab = this.#slab;
    slab.writeUInt32BE(NBD_SIMPLE_REPLY_MAGIC, at);
    slab.writeUInt32BE(error, at + 4);
    slab.writeUInt32BE(request.cookieHigh, at + 8);
    slab.writeUInt32BE(request.cookieLow, at + 12);
  }

  /** Writes a final chunk's header in `reservedBytes`; returns where its body starts. */
  #chunk(request: Request, type: number, lengthBytes: number, reservedBytes: number): number {
    const at = this.#reserve(reservedBytes);
    const slab = this.#slab;
    slab.writeUInt32BE(NBD_STRUCTURED_REPLY_MAGIC, at);
    slab.writeUInt16BE(NBD_REPLY_FLAG_DONE, at + 4);
    slab.writeUInt16BE(type, at + 6);
    slab.writeUInt32BE(request.cookieHigh, at + 8);
    slab.writeUInt32BE(request.cookieLow, at + 12);
    slab.writeUInt32BE(lengthBytes, at + 16);
    return at + NBD_STRUCTURED_REPLY_BYTES;
  }

  #data(payload: Payload): void {
    this.#endRun();
    for (const piece of payload.pieces) this.#pieces.push(piece);
  }

  #piece(piece: Buffer): void {
    this.#endRun();
    this.#pieces.push(piece);
  }

  #reserve(lengthBytes: number): number {
    if (this.#end + lengthBytes > this.#slab.length) {
      this.#endRun();
      // The old slab lives on in the pieces that were cut from it, until they are written.
      this.#slab = Buffer.allocUnsafeSlow(NBD_REPLY_SLAB_BYTES);
      this.#start = 0;
      this.#end = 0;
    }
    const at = this.#end;
    this.#end += lengthBytes;
    return at;
  }

  #endRun(): void {
    if (this.#start === this.#end) return;
    this.#pieces.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}

/**
 * A device's extents as a reply to `request` may carry them (NBD specification,
 * "NBD_CMD_BLOCK_STATUS"): at most `extentsMax`; the last may reach past the request, but
 * not past the export, and with REQ_ONE there is one, which may not.
 */
export function clipExtents(
  extents: readonly Extent[],
  request: Request,
  sizeBytes: number,
  extentsMax: number,
): Extent[] {
  const one = (request.flags & NBD_CMD_FLAG_REQ_ONE) !== 0;
  const endBytes = one ? request.lengthBytes : sizeBytes - request.offset;
  const clipped: Extent[] = [];
  let at = 0;
  for (const extent of extents) {
    if (at >= request.lengthBytes || clipped.length === (one ? 1 : extentsMax)) break;
    const lengthBytes = Math.min(extent.lengthBytes, endBytes - at, EXTENT_LENGTH_BYTES_MAX);
    if (lengthBytes > 0) clipped.push({ ...extent, lengthBytes });
    at += lengthBytes;
    // One cut short must be the last, or the next would be taken for what it hides.
    if (lengthBytes < extent.lengthBytes) break;
  }
  return clipped;
}

/** UTF-8 of at most `bytesMax` bytes, cut between characters. */
export function cutText(text: string, bytesMax: number): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return bytes;
  let end = bytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}
