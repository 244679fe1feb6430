import type { Clock, Timer } from '../clock.js';
import { WORKING_NOTICE_AFTER_MS, WORKING_NOTICE_INTERVAL_MS } from '../limits.js';

/**
 * Tells a client which of its transactions are in progress for long, so that it does not
 * take slow storage for a dead export. One timer a connection, and only while something is
 * in progress: a command itself costs two changes of a map.
 */
export class WorkingNotices {
  readonly #clock: Clock;
  readonly #send: (transactions: number[]) => void;
  /** When each began, oldest first, ms. */
  readonly #beganMs = new Map<number, number>();
  #timer: Timer | undefined;

  constructor(clock: Clock, send: (transactions: number[]) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** A copy of what is in progress already changes nothing. */
  began(transaction: number): void {
    if (this.#beganMs.has(transaction)) return;
    this.#beganMs.set(transaction, this.#clock.nowMs());
    this.#timer ??= this.#arm();
  }

  ended(transaction: number): void {
    this.#beganMs.delete(transaction);
  }

  /** The connection is of no more use. */
  stop(): void {
    this.#beganMs.clear();
    this.#timer?.cancel();
  }

  #arm(): Timer {
    return this.#clock.after(WORKING_NOTICE_INTERVAL_MS, () => {
      this.#timer = this.#beganMs.size === 0 ? undefined : this.#arm();
      const slow = this.#slow();
      if (slow.length > 0) this.#send(slow);
    });
  }

  #slow(): number[] {
    const latestMs = this.#clock.nowMs() - WORKING_NOTICE_AFTER_MS;
    const slow: number[] = [];
    for (const [transaction, beganMs] of this.#beganMs) {
      if (beganMs > latestMs) break;
      slow.push(transaction);
    }
    return slow;
  }
}
