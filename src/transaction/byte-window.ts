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
 *
 * A slow answer tells of the lane that it came on. Where there are several it costs only that
 * one's share, and each keeps what one lane never goes below.
 */
export class ByteWindow {
  #bytes = BYTE_WINDOW_INITIAL_BYTES;
  #shrunkMs = Number.NEGATIVE_INFINITY;
  #lanes = 1;

  get bytes(): number {
    return this.#bytes;
  }

  /** What is sent goes out on so many connections side by side. */
  set lanes(count: number) {
    if (count === this.#lanes) return;
    this.#lanes = count;
    this.#bytes = Math.max(this.#bytes, count * BYTE_WINDOW_MIN_BYTES);
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
    const kept = this.#bytes * (1 - 1 / (2 * this.#lanes));
    this.#bytes = Math.max(this.#lanes * BYTE_WINDOW_MIN_BYTES, kept);
    this.#shrunkMs = nowMs;
  }
}
