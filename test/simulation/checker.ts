/**
 * Knows for each block the values that a read may return, and throws a `Violation` for any
 * other. A block's candidates are the writes whose value may be there:
 *
 *   write begins            -> it is a candidate, of the reads in progress too
 *   write is acked          -> candidates that had ended before it began are none any more
 *   write fails             -> it stays one: it may have happened, and may come undone in a
 *                              crash, until a later write is acked
 *   read with no write about -> only the value that it returned is left
 *
 * Crashes take nothing away from this: an acked write's value stays, as long as its client
 * lives or a flush has covered it.
 */
import { ZERO } from './blocks.js';

export class Violation extends Error {
  override readonly name = 'Violation';
}

/** One block's share of a write. */
interface Candidate {
  readonly value: number;
  readonly beganAt: number;
  /** Infinity while it is in progress. */
  endedAt: number;
  acked: boolean;
}

/** A write, trim or write zeroes in progress. */
export interface PendingWrite {
  readonly client: string;
  readonly first: number;
  readonly candidates: readonly Candidate[];
}

/** A read in progress: for each block what it may return. */
export interface PendingRead {
  readonly first: number;
  readonly allowed: readonly Set<number>[];
  /** Whether a write was about at any time of the read, by block. */
  readonly disturbed: boolean[];
}

export class Checker {
  readonly #blocks: Candidate[][];
  readonly #writes = new Set<PendingWrite>();
  readonly #reads = new Set<PendingRead>();
  /** Counts what happens, as the order is what matters and not the time. */
  #moment = 0;

  constructor(blockCount: number) {
    this.#blocks = Array.from({ length: blockCount }, () => [
      { value: ZERO, beganAt: 0, endedAt: 0, acked: true },
    ]);
  }

  beginWrite(client: string, first: number, values: readonly number[]): PendingWrite {
    const beganAt = ++this.#moment;
    const candidates = values.map((value) => ({
      value,
      beganAt,
      endedAt: Number.POSITIVE_INFINITY,
      acked: false,
    }));
    for (const [index, candidate] of candidates.entries()) {
      this.#candidates(first + index).push(candidate);
      for (const read of this.#reads) {
        read.allowed[first + index - read.first]?.add(candidate.value);
        read.disturbed[first + index - read.first] = true;
      }
    }
    const write = { client, first, candidates };
    this.#writes.add(write);
    return write;
  }

  endWrite(write: PendingWrite, acked: boolean): void {
    this.#end(write);
    if (!acked) return;
    for (const [index, candidate] of write.candidates.entries()) {
      candidate.acked = true;
      const block = write.first + index;
      this.#blocks[block] = this.#candidates(block).filter(
        (other) => other.endedAt >= candidate.beganAt,
      );
    }
  }

  /**
   * From now on nothing of this client may land: a write of its that is in progress has
   * happened by now or never will, whenever the client hears of it.
   */
  fence(client: string): void {
    for (const write of this.#writes) if (write.client === client) this.#end(write);
  }

  beginRead(first: number, count: number): PendingRead {
    const allowed: Set<number>[] = [];
    const disturbed: boolean[] = [];
    for (let block = first; block < first + count; block++) {
      const candidates = this.#candidates(block);
      allowed.push(new Set(candidates.map(({ value }) => value)));
      disturbed.push(candidates.some(({ acked }) => !acked));
    }
    const read = { first, allowed, disturbed };
    this.#reads.add(read);
    return read;
  }

  /** A read that failed says nothing. */
  dropRead(read: PendingRead): void {
    this.#reads.delete(read);
  }

  endRead(read: PendingRead, values: readonly (number | undefined)[]): void {
    this.#reads.delete(read);
    for (const [index, allowed] of read.allowed.entries()) {
      const block = read.first + index;
      const value = values[index];
      if (value === undefined) throw new Violation(`block ${block} holds parts of several writes`);
      if (!allowed.has(value)) {
        throw new Violation(
          `block ${block} holds ${value}, which may only be ${[...allowed].join(' or ')}`,
        );
      }
      if (read.disturbed[index]) continue;
      this.#blocks[block] = this.#candidates(block).filter((other) => other.value === value);
    }
  }

  #candidates(block: number): Candidate[] {
    const candidates = this.#blocks[block];
    if (candidates === undefined) throw new Error(`there is no block ${block}`);
    return candidates;
  }

  #end(write: PendingWrite): void {
    if (!this.#writes.delete(write)) return;
    const endedAt = ++this.#moment;
    for (const candidate of write.candidates) candidate.endedAt = endedAt;
  }
}
