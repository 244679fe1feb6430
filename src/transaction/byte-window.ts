import {
  ANSWER_SLOW_MS,
  ANSWER_SWIFT_MS,
  BYTE_WINDOW_INITIAL_BYTES,
  BYTE_WINDOW_MAX_BYTES,
  BYTE_WINDOW_MIN_BYTES,
} from '../limits.js';

/**
 * How many payload bytes are sent before answers come back. More than a line carries in half
 * a second only makes every answer late, and late answers look like a dead line: so it grows
 * while answers are swift, and shrinks when they are slow.
 */
export class ByteWindow {
  #bytes = BYTE_WINDOW_INITIAL_BYTES;
  #shrunkMs = Number.NEGATIVE_INFINITY;

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * An answer came to a command that moved `creditBytes`, `tookMs` after it was sent, while
   * `inFlightBytes` were on their way besides. Swift answers say nothing of a window that was
   * not half used.
   */
  onAnswer(creditBytes: number, inFlightBytes: number, tookMs: number, nowMs: number): void {
    if (tookMs < ANSWER_SWIFT_MS) {
      if ((creditBytes + inFlightBytes) * 2 < this.#bytes) return;
      this.#bytes = Math.min(BYTE_WINDOW_MAX_BYTES, this.#bytes + creditBytes);
    } else if (tookMs > ANSWER_SLOW_MS && nowMs - tookMs >= this.#shrunkMs) {
      // Answers to what was sent before it shrank say nothing of its new size.
      this.shrink(nowMs);
    }
  }

  shrink(nowMs: number): void {
    this.#bytes = Math.max(BYTE_WINDOW_MIN_BYTES, this.#bytes / 2);
    this.#shrunkMs = nowMs;
  }
}
