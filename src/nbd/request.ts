import type { BufferPool } from '../block/buffer-pool.js';
import { type Payload, payloadOf } from '../block/payload.js';
import { invariant } from '../errors.js';
import { NBD_RECEIVE_IN_PLACE_BYTES_MIN } from '../limits.js';
import { NBD_CMD_WRITE, NBD_REQUEST_BYTES, NBD_REQUEST_MAGIC } from './constants.js';

/** One request header (NBD specification, "Request message"). */
export interface Request {
  /** NBD_CMD_FLAG_* bits. */
  readonly flags: number;
  /** NBD_CMD_*, or any other number that the client sent. */
  readonly command: number;
  /** The client's name for the request, sent back in the reply: 64 bits in two halves. */
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** Exact below 2^53; beyond it only as exact as needed to be out of range. */
  readonly offset: number;
  readonly lengthBytes: number;
}

/**
 * What becomes of a request whose header has arrived.
 * - `take`: collect its payload, if any, then `execute` it.
 * - `discard`: skip its payload, if any, then `refuse` it.
 * - `wait`: ask again at the next `push`; nothing behind it is looked at.
 * - `end`: it is the last; nothing behind it is looked at ever again.
 */
export type Verdict = 'take' | 'discard' | 'wait' | 'end';

export interface RequestHandler {
  judge(request: Request): Verdict;
  /** `payload` has `request.lengthBytes` bytes for a write, else none; the handler releases it. */
  execute(request: Request, payload: Payload): void;
  refuse(request: Request): void;
  /** The bytes are no request; the parser has ended. */
  garbage(what: string): void;
}

const NO_PAYLOAD = payloadOf([]);

/** The request whose header starts at `at`; undefined where the magic is not there. */
export function parseRequest(bytes: Buffer, at: number): Request | undefined {
  if (bytes.readUInt32BE(at) !== NBD_REQUEST_MAGIC) return undefined;
  return {
    flags: bytes.readUInt16BE(at + 4),
    command: bytes.readUInt16BE(at + 6),
    cookieHigh: bytes.readUInt32BE(at + 8),
    cookieLow: bytes.readUInt32BE(at + 12),
    offset: bytes.readUInt32BE(at + 16) * 2 ** 32 + bytes.readUInt32BE(at + 20),
    lengthBytes: bytes.readUInt32BE(at + 24),
  };
}

/**
 * Cuts a client's bytes into requests, wherever they are split into chunks. A write's payload is
 * one buffer of a pool, so that the chunks are free at once: it is copied there, or, where much
 * of it is still to come, received there.
 *
 * ```
 *           28 bytes          take            all bytes
 *   header ----------> judge ------> collect ----------> execute, header
 *                      |  |  discard         all bytes
 *                      |  +--------> skip    ----------> refuse, header
 *                      +-> waiting (judged again) or ended
 * ```
 */
export class RequestParser {
  readonly #handler: RequestHandler;
  readonly #pool: BufferPool;
  /** Holds a header that is split between chunks. */
  readonly #scratch = Buffer.allocUnsafe(NBD_REQUEST_BYTES);
  #scratchBytes = 0;
  #state: 'header' | 'waiting' | 'collect' | 'skip' | 'ended' = 'header';
  #request: Request | undefined;
  #payloadLeftBytes = 0;
  /**
   * What is being collected. Where it never becomes whole it is left to the garbage collector, as
   * a read may still be on its way into it.
   */
  #payload: ReturnType<BufferPool['acquire']> | undefined;

  constructor(handler: RequestHandler, pool: BufferPool) {
    this.#handler = handler;
    this.#pool = pool;
  }

  /** The request whose payload is being collected. */
  get collecting(): Request | undefined {
    return this.#state === 'collect' ? this.#request : undefined;
  }

  /** The handler said `wait`: push again, if only an empty chunk, when it would not. */
  get waiting(): boolean {
    return this.#state === 'waiting';
  }

  /** The end of a large payload, where a socket may put it itself and say so by `filled`. */
  get room(): Buffer | undefined {
    if (this.#payload === undefined || this.#payloadLeftBytes < NBD_RECEIVE_IN_PLACE_BYTES_MIN) {
      return undefined;
    }
    return this.#payload.buffer.subarray(-this.#payloadLeftBytes);
  }

  /** So many bytes are where `room` was. */
  filled(lengthBytes: number): void {
    invariant(lengthBytes <= this.#payloadLeftBytes, 'what fills a payload fits it');
    this.#payloadLeftBytes -= lengthBytes;
    if (this.#payloadLeftBytes === 0) this.#finish();
  }

  /**
   * Parses a chunk, of which nothing is needed afterwards. Returns the bytes consumed:
   * fewer than all only where a request must wait or was the last.
   */
  push(chunk: Buffer): number {
    let at = 0;
    if (this.#state === 'waiting') this.#judge();
    for (;;) {
      if (this.#state === 'header') {
        if (at === chunk.length) return at;
        at = this.#header(chunk, at);
      } else if (this.#state === 'collect' || this.#state === 'skip') {
        if (this.#payloadLeftBytes > 0) {
          if (at === chunk.length) return at;
          at = this.#collect(chunk, at);
        }
        if (this.#payloadLeftBytes === 0) this.#finish();
      } else {
        return at;
      }
    }
  }

  #header(chunk: Buffer, at: number): number {
    if (this.#scratchBytes === 0 && chunk.length - at >= NBD_REQUEST_BYTES) {
      this.#parsed(parseRequest(chunk, at));
      return at + NBD_REQUEST_BYTES;
    }
    const copied = chunk.copy(this.#scratch, this.#scratchBytes, at);
    this.#scratchBytes += copied;
    if (this.#scratchBytes === NBD_REQUEST_BYTES) {
      this.#scratchBytes = 0;
      this.#parsed(parseRequest(this.#scratch, 0));
    }
    return at + copied;
  }

  #parsed(request: Request | undefined): void {
    if (request === undefined) {
      this.#state = 'ended';
      this.#handler.garbage('a request without the NBD request magic');
      return;
    }
    this.#request = request;
    this.#judge();
  }

  #judge(): void {
    const request = this.#request;
    invariant(request !== undefined, 'a request is judged after its header');
    const verdict = this.#handler.judge(request);
    if (verdict === 'wait') {
      this.#state = 'waiting';
    } else if (verdict === 'end') {
      this.#state = 'ended';
    } else {
      this.#state = verdict === 'take' ? 'collect' : 'skip';
      this.#payloadLeftBytes = request.command === NBD_CMD_WRITE ? request.lengthBytes : 0;
      if (verdict === 'take' && this.#payloadLeftBytes > 0) {
        this.#payload = this.#pool.acquire(this.#payloadLeftBytes);
      }
    }
  }

  #collect(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#payloadLeftBytes);
    const target = this.#payload?.buffer;
    if (target !== undefined) chunk.copy(target, target.length - this.#payloadLeftBytes, at, end);
    this.#payloadLeftBytes -= end - at;
    return end;
  }

  #finish(): void {
    const request = this.#request;
    invariant(request !== undefined, 'a payload ends after its header');
    const taken = this.#state === 'collect';
    const payload = this.#payload ?? NO_PAYLOAD;
    this.#state = 'header';
    this.#request = undefined;
    this.#payload = undefined;
    if (taken) this.#handler.execute(request, payload);
    else this.#handler.refuse(request);
  }
}
