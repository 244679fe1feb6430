/**
 * A disk whose writes lie in a volatile cache until a flush, one history for each block:
 *
 *   durable ── unflushed ── unflushed ── what a read returns
 *
 * A crash of the machine keeps the durable value and any subset of what lies on it. The disk
 * outlives the processes that open it.
 */
import { invariant } from '../../src/errors.js';
import { ZERO } from './blocks.js';
import type { Random } from './random.js';

const VERIFIER_BYTES = 16;

interface Unflushed {
  readonly value: number;
  /** Counts the writes of the disk. */
  readonly sequence: number;
}

interface Block {
  durable: number;
  unflushed: Unflushed[];
}

export class SimulatedDisk {
  /** From then on no command fails. */
  flushHasFailed = false;
  readonly #blocks: Block[];
  readonly #random: Random;
  #sequence = 0;
  #boots = 1;

  constructor(blockCount: number, random: Random) {
    this.#blocks = Array.from({ length: blockCount }, () => ({ durable: ZERO, unflushed: [] }));
    this.#random = random;
  }

  get blockCount(): number {
    return this.#blocks.length;
  }

  /** Of the last write that was applied. */
  get sequence(): number {
    return this.#sequence;
  }

  get crashes(): number {
    return this.#boots - 1;
  }

  get verifier(): Buffer {
    return Buffer.alloc(VERIFIER_BYTES, this.#boots);
  }

  value(index: number): number {
    const block = this.#block(index);
    return block.unflushed.at(-1)?.value ?? block.durable;
  }

  /** Puts a value into the cache; returns the write's number. */
  apply(index: number, value: number): number {
    this.#block(index).unflushed.push({ value, sequence: ++this.#sequence });
    return this.#sequence;
  }

  /** Makes a block's writes up to a number durable. */
  harden(index: number, sequence: number): void {
    const block = this.#block(index);
    const covered = block.unflushed.filter((write) => write.sequence <= sequence);
    block.durable = covered.at(-1)?.value ?? block.durable;
    block.unflushed = block.unflushed.slice(covered.length);
  }

  hardenAll(sequence: number): void {
    for (let index = 0; index < this.blockCount; index++) this.harden(index, sequence);
  }

  /** The machine reboots: any of what was not flushed is gone. */
  crash(): void {
    const keepRate = this.#random.pick([0, 0.5, 0.9]);
    for (const block of this.#blocks) {
      const kept = block.unflushed.filter(() => this.#random.chance(keepRate));
      block.durable = kept.at(-1)?.value ?? block.durable;
      block.unflushed = [];
    }
    this.#boots++;
  }

  #block(index: number): Block {
    const block = this.#blocks[index];
    invariant(block !== undefined, `there is no block ${index}`);
    return block;
  }
}
