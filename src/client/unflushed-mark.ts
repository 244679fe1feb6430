import type { Clock, Timer } from '../clock.js';
import { UNFLUSHED_MARK_MIN_MS } from '../limits.js';
import type { Durability } from '../transaction/durability.js';
import type { SessionIdentity } from './session-identity.js';

/**
 * Keeps the session's record true about acked changes that may not be flushed, and about which
 * export holds them. It errs only towards `unflushed`: set before the first of them is acked to
 * its caller, it is taken back some time after the last was flushed, so that a program that
 * flushes each write costs two saves a second and not two a write.
 */
export class UnflushedMark {
  readonly #identity: SessionIdentity;
  readonly #clock: Clock;
  #inherited: boolean;
  #verifier: Buffer | undefined;
  #durability: Durability = 'flushed';
  /** Something was not flushed, at some time since the timer was set. */
  #wasUnflushed = false;
  #timer: Timer | undefined;

  constructor(identity: SessionIdentity, clock: Clock) {
    this.#identity = identity;
    this.#clock = clock;
    this.#inherited = identity.record.unflushed;
  }

  /**
   * Whether changes that an ended process had acked may not be flushed. Nobody could make them
   * again: they are there as long as the export's cache is.
   */
  get inherited(): boolean {
    return this.#inherited;
  }

  /** The verifier of the export that is connected; the same buffer as before where it is equal. */
  welcomed(verifier: Buffer): void {
    this.#verifier = verifier;
  }

  /** To be called before anything is told of commands that have ended. */
  note(durability: Durability): void {
    if (!this.#identity.journaled || this.#inherited) return;
    this.#durability = durability;
    const { unflushed, verifier } = this.#identity.record;
    const ours = verifier === this.#verifier;
    if (durability === 'flushed') {
      // The record must not name an export that is gone as the one that holds something.
      if (unflushed && !ours) this.#clear();
      return;
    }
    this.#wasUnflushed = true;
    if (durability === 'held') {
      if (!unflushed || !ours) this.#set(this.#verifier);
    } else if (!unflushed || ours) this.#set(undefined);
  }

  /** What was inherited has been flushed. */
  inheritedFlushed(): void {
    this.#inherited = false;
    this.#clear();
  }

  /** What was inherited may be lost: no later flush proves anything. */
  inheritedLost(): void {
    this.#identity.save({ verifier: undefined });
  }

  /** Leaves the record as it is from now on. */
  end(): void {
    this.#timer?.cancel();
  }

  #set(verifier: Buffer | undefined): void {
    this.#identity.save({ unflushed: true, verifier });
    if (this.#timer === undefined) this.#arm();
  }

  #clear(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#identity.save({ unflushed: false, verifier: this.#verifier });
  }

  #arm(): void {
    this.#wasUnflushed = false;
    this.#timer = this.#clock.after(UNFLUSHED_MARK_MIN_MS, () => {
      if (this.#wasUnflushed || this.#durability !== 'flushed') this.#arm();
      else this.#clear();
    });
  }
}
