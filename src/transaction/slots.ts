import { invariant } from '../errors.js';
import type { Credit } from '../protocol/messages.js';

interface Copy<T> {
  readonly of: T;
  readonly creditBytes: number;
}

/**
 * The copies of transactions that are on their way on one connection, by the slot (the
 * stream) that each was sent on. A slot is free again only when an answer came on it: a
 * stream that stalls is never used again, and what it carries goes on counting as credit,
 * since the export may yet receive it.
 */
export class Slots<T> {
  readonly #copies: (Copy<T> | undefined)[] = [];
  readonly #free: number[] = [];
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  affords(creditBytes: number, credit: Credit, windowBytes: number): boolean {
    if (this.#count >= credit.transactions) return false;
    // One alone may always go, so that a small credit slows a client and never stops it.
    if (this.#count === 0) return true;
    return this.#bytes + creditBytes <= Math.min(credit.bytes, windowBytes);
  }

  take(of: T, creditBytes: number): number {
    const slot = this.#free.pop() ?? this.#copies.length;
    this.#copies[slot] = { of, creditBytes };
    this.#count++;
    this.#bytes += creditBytes;
    return slot;
  }

  /** Whose copy is on a slot; undefined where there is none. */
  at(slot: number): T | undefined {
    return this.#copies[slot]?.of;
  }

  release(slot: number): void {
    const copy = this.#copies[slot];
    invariant(copy !== undefined, 'a slot that carries nothing was released');
    this.#copies[slot] = undefined;
    this.#free.push(slot);
    this.#count--;
    this.#bytes -= copy.creditBytes;
  }
}
