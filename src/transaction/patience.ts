import { SUSPECT_AFTER_MIN_MS, SUSPECT_AFTER_TIMES_USUAL, USUAL_WEIGHT } from '../limits.js';
import type { Command } from './command.js';

/**
 * How long an answer may take before its connection is suspected: several times what answers
 * to commands of that kind usually take, so that a slow disk or a far export is not.
 */
export class Patience {
  readonly #maxMs: number;
  readonly #usualMs = new Map<Command['kind'], number>();

  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  learn(kind: Command['kind'], tookMs: number): void {
    const usualMs = this.#usualMs.get(kind);
    this.#usualMs.set(
      kind,
      usualMs === undefined ? tookMs : usualMs + (tookMs - usualMs) * USUAL_WEIGHT,
    );
  }

  /** A connection ended with a late answer, which may have been on its way: twice the patience. */
  doubt(kind: Command['kind']): void {
    this.#usualMs.set(kind, (2 * this.limitMs(kind)) / SUSPECT_AFTER_TIMES_USUAL);
  }

  /** At least SUSPECT_AFTER_MIN_MS, and never longer than the resend timeout. */
  limitMs(kind: Command['kind']): number {
    const usualMs = this.#usualMs.get(kind) ?? 0;
    return Math.min(
      this.#maxMs,
      Math.max(SUSPECT_AFTER_MIN_MS, usualMs * SUSPECT_AFTER_TIMES_USUAL),
    );
  }
}
