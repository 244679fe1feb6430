import type { Clock } from '../../src/clock.js';
import { UNFLUSHED_MARK_MIN_MS } from '../../src/limits.js';
import type { SimulatedDisk } from './disk.js';

/** A session's record may say for so long after a flush that something is not flushed. */
const MARK_MS_MAX = 2 * UNFLUSHED_MARK_MIN_MS;

/**
 * What the kill of a client's process may cost: acked writes that no flush covers, which the
 * process could have made again. They are lost only where the disk loses its cache as well.
 */
export class AtRisk {
  readonly #clock: Clock;
  readonly #disk: SimulatedDisk;
  /** For each acked write that no flush covers, the disk's crashes before it began. */
  #unflushed: number[] = [];
  /** Of those that the last flush covered: the same, and when that was. */
  #flushed = { crashes: 0, atMs: Number.NEGATIVE_INFINITY };
  /** The disk's crashes before what an ended process left at risk. */
  #left: number | undefined;

  constructor(clock: Clock, disk: SimulatedDisk) {
    this.#clock = clock;
    this.#disk = disk;
  }

  /** Whether a client that says that acked writes may be lost has a reason to. */
  get mayBeLost(): boolean {
    if (this.#left === undefined) return false;
    return this.#disk.crashes > this.#left || this.#disk.flushHasFailed;
  }

  /** A write without FUA begins; the function is to be called when it is acked. */
  changing(): () => void {
    // The disk may crash before its ack has arrived.
    const { crashes } = this.#disk;
    return () => {
      this.#unflushed.push(crashes);
    };
  }

  /** A flush begins; the function is to be called when it has ended well. */
  flushing(): () => void {
    const covered = this.#unflushed.length;
    const all = this.#unflushed;
    return () => {
      // Of an earlier process, whose writes have been flushed when the next one began.
      if (all !== this.#unflushed || covered === 0) return;
      const crashes = Math.min(...all.splice(0, covered));
      this.#flushed = { crashes, atMs: this.#clock.nowMs() };
    };
  }

  processKilled(): void {
    const recently = this.#clock.nowMs() - this.#flushed.atMs <= MARK_MS_MAX;
    const [...left] = this.#unflushed;
    if (recently) left.push(this.#flushed.crashes);
    if (left.length > 0) this.#left ??= Math.min(...left);
  }

  /** A process has flushed what those before it had left, and said that it is ready. */
  resumed(): void {
    this.#left = undefined;
    this.#unflushed = [];
  }
}
