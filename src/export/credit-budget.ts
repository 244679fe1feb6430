import {
  CREDIT_BUDGET_BYTES,
  CREDIT_BUDGET_SHARE,
  CREDIT_BYTES,
  CREDIT_BYTES_MIN,
} from '../limits.js';

/**
 * What all connections of an export may have in flight together. Each is told at WELCOME what it
 * may have: CREDIT_BYTES, or a share of what the budget has left, and never less than
 * CREDIT_BYTES_MIN, which is outside of the budget once that is spent.
 */
export class CreditBudget {
  readonly #given = new Map<object, number>();
  #leftBytes = CREDIT_BUDGET_BYTES;

  /** What those who hold some may have in flight, together. */
  get givenBytes(): number {
    return CREDIT_BUDGET_BYTES - this.#leftBytes;
  }

  /** Gives a holder its credit, in bytes; once until it is given back. */
  take(holder: object): number {
    this.giveBack(holder);
    const share = Math.floor(this.#leftBytes * CREDIT_BUDGET_SHARE);
    const bytes = Math.max(CREDIT_BYTES_MIN, Math.min(CREDIT_BYTES, share));
    this.#given.set(holder, bytes);
    this.#leftBytes -= bytes;
    return bytes;
  }

  /** Does nothing for one who holds none. */
  giveBack(holder: object): void {
    const bytes = this.#given.get(holder);
    if (bytes === undefined) return;
    this.#given.delete(holder);
    this.#leftBytes += bytes;
  }
}
