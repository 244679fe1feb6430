/**
 * The client's transaction engine: which command goes out when and on which stream, what is
 * in flight, and what is sent again. It does no I/O and reads no clock.
 *
 *   submit ──> queued ──pollTransmit──> in flight ──handleReply──> completion
 *                ^                          │
 *                └── handleDisconnected ────┤        (resent on the next connection)
 *                └── handleCorrupt ─────────┘        (resent on this one)
 *
 * Who calls what, in order: after any `submit` or `handle*` call, drain `pollTransmit`, then
 * `pollCompletion`; arm one timer for `nextTimeoutMs()` and call `handleTimeout` when it
 * fires. Ownership: `#unfinished` holds every transaction that has no completion yet, in id
 * order; a transaction is either in `#queue` or holds a slot, never both.
 */
import { DstError, invariant } from '../errors.js';
import type { ReplyFrame } from '../protocol/frame.js';
import type { Credit } from '../protocol/messages.js';
import type { Command, Completion, Transmit } from './command.js';

export interface EngineOptions {
  /** How long a transaction may go unanswered before it counts as lost, ms. */
  readonly resendTimeoutMs: number;
  /** Resends before a command fails with EIO; Infinity to never give up. */
  readonly maxResends: number;
}

interface Transaction<C extends Command> {
  readonly id: number;
  readonly command: C;
  /** Stream slot while in flight, -1 while queued. */
  slot: number;
  sent: boolean;
  resends: number;
  deadlineMs: number;
}

export interface EngineCounters {
  submitted: number;
  completed: number;
  resent: number;
  timedOut: number;
  corrupt: number;
}

export class TransactionEngine<C extends Command> {
  readonly #options: EngineOptions;
  readonly #unfinished = new Map<number, Transaction<C>>();
  /** Ids that wait for a connection or for credit, in the order in which they go out. */
  #queue: Transaction<C>[] = [];
  #queueHead = 0;
  readonly #completions: Completion<C>[] = [];
  #completionsHead = 0;
  readonly #freeSlots: number[] = [];
  #slotCount = 0;
  #credit: Credit | undefined;
  #inFlight = 0;
  #inFlightBytes = 0;
  #nextId = 1;
  #retired = 1;
  readonly counters: EngineCounters = {
    submitted: 0,
    completed: 0,
    resent: 0,
    timedOut: 0,
    corrupt: 0,
  };

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  // ---- Getters -------------------------------------------------------------------------

  get connected(): boolean {
    return this.#credit !== undefined;
  }

  /** Transactions sent on the current connection and not yet answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** Transactions without a completion, in flight or queued. */
  get unfinished(): number {
    return this.#unfinished.size;
  }

  /** Every id below it has ended. */
  get retired(): number {
    return this.#retired;
  }

  // ---- Mutators ------------------------------------------------------------------------

  /** Takes a command on; it goes out when there is a connection and credit. Returns its id. */
  submit(command: C, nowMs: number): number {
    const transaction: Transaction<C> = {
      id: this.#nextId++,
      command,
      slot: -1,
      sent: false,
      resends: 0,
      deadlineMs: nowMs + this.#options.resendTimeoutMs,
    };
    this.#unfinished.set(transaction.id, transaction);
    this.#queue.push(transaction);
    this.counters.submitted++;
    return transaction.id;
  }

  /** Ends every unfinished command with an error. */
  failAll(error: Error): void {
    for (const transaction of [...this.#unfinished.values()]) this.#fail(transaction, error);
  }

  // ---- What happened -------------------------------------------------------------------

  /** A connection was welcomed: everything unanswered goes out again on it, oldest first. */
  handleConnected(credit: Credit, nowMs: number): void {
    this.handleDisconnected(nowMs);
    this.#credit = credit;
  }

  /** The connection is gone; what was in flight waits for the next one. */
  handleDisconnected(nowMs: number): void {
    this.#credit = undefined;
    this.#queue = [...this.#unfinished.values()];
    this.#queueHead = 0;
    for (const transaction of this.#queue) {
      transaction.slot = -1;
      transaction.deadlineMs = nowMs + this.#options.resendTimeoutMs;
    }
    this.#freeSlots.length = 0;
    this.#slotCount = 0;
    this.#inFlight = 0;
    this.#inFlightBytes = 0;
  }

  /**
   * A reply on the current connection. A reply to a transaction that is not in flight is
   * late or doubled, and is ignored. Returns whether it ended a command.
   */
  handleReply(reply: ReplyFrame): boolean {
    const transaction = this.#unfinished.get(reply.transaction);
    if (transaction === undefined || transaction.slot < 0) return false;
    this.#release(transaction);
    this.#finish(transaction, reply, undefined);
    return true;
  }

  /** The reply, or the request as the export got it, failed its checksum: send it again. */
  handleCorrupt(id: number): void {
    const transaction = this.#unfinished.get(id);
    if (transaction === undefined || transaction.slot < 0) return;
    this.counters.corrupt++;
    this.#release(transaction);
    // Behind the queue it could wait for the window, and the window for it.
    if (this.#queueHead > 0) this.#queue[--this.#queueHead] = transaction;
    else this.#queue.unshift(transaction);
  }

  /**
   * Time has passed. Returns true when a transaction in flight went unanswered for too long:
   * the caller must replace the connection, and the next one carries the resend. While there
   * is no connection, each timeout counts as a resend that could not be made.
   */
  handleTimeout(nowMs: number): boolean {
    let suspect = false;
    for (const transaction of [...this.#unfinished.values()]) {
      if (transaction.deadlineMs > nowMs) continue;
      transaction.deadlineMs = nowMs + this.#options.resendTimeoutMs;
      if (transaction.slot >= 0) {
        this.counters.timedOut++;
        suspect = true;
      } else if (!this.connected) {
        this.#countResend(transaction);
      }
    }
    return suspect;
  }

  // ---- What to do now ------------------------------------------------------------------

  /** The next request to send, or undefined when none can go: call until then. */
  pollTransmit(nowMs: number): Transmit<C> | undefined {
    const credit = this.#credit;
    if (credit === undefined) return undefined;
    const transaction = this.#nextAffordable(credit);
    if (transaction === undefined) return undefined;
    transaction.slot = this.#freeSlots.pop() ?? this.#slotCount++;
    transaction.deadlineMs = nowMs + this.#options.resendTimeoutMs;
    transaction.sent = true;
    this.#inFlight++;
    this.#inFlightBytes += transaction.command.creditBytes;
    return {
      command: transaction.command,
      transaction: transaction.id,
      retired: this.#retired,
      slot: transaction.slot,
    };
  }

  /** The next command that ended, or undefined. */
  pollCompletion(): Completion<C> | undefined {
    const completion = this.#completions[this.#completionsHead++];
    if (completion === undefined) {
      this.#completions.length = 0;
      this.#completionsHead = 0;
    }
    return completion;
  }

  /** When `handleTimeout` has something to do; undefined while nothing is unfinished. */
  nextTimeoutMs(): number | undefined {
    let earliestMs: number | undefined;
    for (const { deadlineMs } of this.#unfinished.values()) {
      if (earliestMs === undefined || deadlineMs < earliestMs) earliestMs = deadlineMs;
    }
    return earliestMs;
  }

  // ---- Inside --------------------------------------------------------------------------

  /** Takes the head of the queue if it may go now, past those that have ended meanwhile. */
  #nextAffordable(credit: Credit): Transaction<C> | undefined {
    for (;;) {
      const transaction = this.#queue[this.#queueHead];
      if (transaction === undefined) {
        this.#queue.length = 0;
        this.#queueHead = 0;
        return undefined;
      }
      if (!this.#unfinished.has(transaction.id)) {
        this.#dequeue();
        continue;
      }
      if (!this.#affordable(transaction, credit)) return undefined;
      this.#dequeue();
      if (!transaction.sent || this.#countResend(transaction)) return transaction;
    }
  }

  /** Drops the head. What lies before the head is cut off now and then, not each time. */
  #dequeue(): void {
    this.#queueHead++;
    if (this.#queueHead < 1024 || this.#queueHead * 2 < this.#queue.length) return;
    this.#queue.splice(0, this.#queueHead);
    this.#queueHead = 0;
  }

  #affordable(transaction: Transaction<C>, credit: Credit): boolean {
    if (transaction.id - this.#retired >= credit.window) return false;
    if (this.#inFlight >= credit.transactions) return false;
    // One alone may always go, so that a small credit slows a client and never stops it.
    if (this.#inFlight === 0) return true;
    return this.#inFlightBytes + transaction.command.creditBytes <= credit.bytes;
  }

  /** Gives the slot and the credit back. */
  #release(transaction: Transaction<C>): void {
    invariant(transaction.slot >= 0, 'a transaction without a slot was released');
    this.#freeSlots.push(transaction.slot);
    transaction.slot = -1;
    this.#inFlight--;
    this.#inFlightBytes -= transaction.command.creditBytes;
  }

  /** Counts one more resend; past the bound the command fails, and false is returned. */
  #countResend(transaction: Transaction<C>): boolean {
    transaction.resends++;
    if (transaction.resends <= this.#options.maxResends) {
      this.counters.resent++;
      return true;
    }
    this.#fail(
      transaction,
      new DstError(
        'DST_E_RESENDS',
        `the export did not answer after ${this.#options.maxResends} resends; check it and the network`,
        { errno: 'EIO' },
      ),
    );
    return false;
  }

  #fail(transaction: Transaction<C>, error: Error): void {
    // Its slot stays taken until the connection ends: the reply may still come on it.
    this.#finish(transaction, undefined, error);
  }

  #finish(transaction: Transaction<C>, reply: ReplyFrame | undefined, error?: Error): void {
    this.#unfinished.delete(transaction.id);
    while (this.#retired < this.#nextId && !this.#unfinished.has(this.#retired)) this.#retired++;
    this.counters.completed++;
    this.#completions.push({ command: transaction.command, reply, error });
  }
}
