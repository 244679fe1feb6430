import { invariant } from '../errors.js';
import { BATCH_BYTES_MAX, BATCH_TRANSACTION_BYTES_MAX, BATCH_TRANSACTIONS_MAX } from '../limits.js';
import type { Credit } from '../protocol/messages.js';

interface Copy<T> {
  readonly of: T;
  readonly id: number;
  readonly creditBytes: number;
}

/** What goes out together on one slot. */
interface Batch {
  readonly slot: number;
  count: number;
  bytes: number;
}

/**
 * The copies of transactions that are on their way on one connection, by the slot (the
 * stream) that each was sent on. A slot carries one, or several small ones that go out
 * together. It is free again only when all of them were answered on it: a stream that stalls
 * is never used again, and what it carries goes on counting as credit, since the export may
 * yet receive it.
 */
export class Slots<T> {
  readonly #copies: Copy<T>[][] = [];
  readonly #free: number[] = [];
  /** That more may be added to. */
  #batch: Batch | undefined;
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

  /** A slot for a copy; with `batches`, perhaps that of other small ones since `endBatch`. */
  take(of: T, id: number, creditBytes: number, batches: boolean): number {
    const slot = batches ? this.#inBatch(creditBytes) : this.#freeSlot();
    this.#copies[slot]?.push({ of, id, creditBytes });
    this.#count++;
    this.#bytes += creditBytes;
    return slot;
  }

  /** What was taken so far goes out: nothing joins it. */
  endBatch(): void {
    this.#batch = undefined;
  }

  /**
   * Takes the copy of that id from a slot, and tells whose it was; undefined where there is
   * none.
   */
  release(slot: number, id: number): T | undefined {
    const copies = this.#copies[slot];
    const at = copies?.findIndex((copy) => copy.id === id) ?? -1;
    const copy = copies?.[at];
    if (copies === undefined || copy === undefined) return undefined;
    copies.splice(at, 1);
    if (copies.length === 0) {
      invariant(this.#batch?.slot !== slot, 'an answer to what has not been sent');
      this.#free.push(slot);
    }
    this.#count--;
    this.#bytes -= copy.creditBytes;
    return copy.of;
  }

  #inBatch(creditBytes: number): number {
    if (creditBytes > BATCH_TRANSACTION_BYTES_MAX) {
      // What goes out on a slot must lie together, to be handed over by one call.
      this.#batch = undefined;
      return this.#freeSlot();
    }
    let batch = this.#batch;
    if (
      batch === undefined ||
      batch.count >= BATCH_TRANSACTIONS_MAX ||
      batch.bytes + creditBytes > BATCH_BYTES_MAX
    ) {
      batch = { slot: this.#freeSlot(), count: 0, bytes: 0 };
      this.#batch = batch;
    }
    batch.count++;
    batch.bytes += creditBytes;
    return batch.slot;
  }

  #freeSlot(): number {
    return this.#free.pop() ?? this.#copies.push([]) - 1;
  }
}
