import { constants } from 'node:os';
import {
  QUICK_IO_BYTES_MAX,
  QUICK_WRITE_PAUSE_FACTOR,
  QUICK_WRITE_PAUSE_MS_MAX,
  QUICK_WRITE_SLOW_MS,
} from '../limits.js';
import type { Payload } from './payload.js';
import type { SystemCalls } from './system-calls.js';

/**
 * Small reads and writes that the page cache can serve, done at once on the event loop: a
 * trip through libuv's thread pool costs ten times what the copy itself costs. Whatever
 * does not end at once, or ends oddly, is left to the pool, which starts over.
 *
 * Reads never block: the kernel is told not to wait. Writes into the page cache have no such
 * flag on ext4, and wait when too much is dirty, so each is timed: after a slow one all go
 * through the pool, for the longer the slower it was, so that a slow disk holds the event loop
 * up for a small share of the time.
 */
export class QuickIo {
  readonly #calls: SystemCalls;
  readonly #fd: number;
  readonly #nowMs: () => number;
  #reads: boolean;
  #writesPausedUntilMs = 0;

  constructor(calls: SystemCalls, fd: number, nowMs: () => number = () => performance.now()) {
    this.#calls = calls;
    this.#fd = fd;
    this.#nowMs = nowMs;
    this.#reads = calls.readNow !== undefined;
  }

  /** Fills `target` from `position` if all of it is cached; false if nothing may be assumed. */
  read(target: Buffer, position: number): boolean {
    if (!this.#reads || target.length > QUICK_IO_BYTES_MAX) return false;
    const result = this.#calls.readNow?.(this.#fd, target, position);
    if (result === -constants.errno.EOPNOTSUPP) this.#reads = false;
    return result === target.length;
  }

  /** Writes the payload at `position`; false if some or all of it is still to be written. */
  write(payload: Payload, position: number): boolean {
    if (this.#calls.writeNow === undefined || payload.lengthBytes > QUICK_IO_BYTES_MAX)
      return false;
    const startMs = this.#nowMs();
    if (startMs < this.#writesPausedUntilMs) return false;
    const result = this.#calls.writeNow(this.#fd, payload.pieces, position);
    const endMs = this.#nowMs();
    const tookMs = endMs - startMs;
    if (tookMs > QUICK_WRITE_SLOW_MS) {
      const pauseMs = Math.min(tookMs * QUICK_WRITE_PAUSE_FACTOR, QUICK_WRITE_PAUSE_MS_MAX);
      this.#writesPausedUntilMs = endMs + pauseMs;
    }
    return result === payload.lengthBytes;
  }
}
