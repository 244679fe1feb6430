/**
 * The client's transaction engine: which command goes out when and on which stream, what is
 * in flight, what is sent again, and what is kept until it is durable. It does no I/O and
 * reads no clock.
 *
 *   submit ──> queued ──pollTransmit──> in flight ──handleReply──> completion
 *                ^                          │                          │
 *                ├── handleDisconnected ────┤ (the next connection)    └─> replay log, until
 *                ├── handleTimeout ─────────┤ (this one, fresh stream)     a flush covers it
 *                └── handleCorrupt ─────────┘
 *
 * Who calls what, in order: after any `submit` or `handle*` call, drain `pollTransmit`, then
 * `takeCompletions`; arm one timer for `nextTimeoutMs()` and call `handleTimeout` when it
 * fires.
 *
 * What must stay true:
 * - Two changes (write, trim, write zeroes) that overlap are never in flight together. So the
 *   order of the log is the order in which the export made them, and making a change anew
 *   that is not acked yet harms nothing.
 * - While a replay is due, nothing but the replay goes out.
 * - An id is given when a transaction is first sent, so ids grow in the order of sending, and
 *   `retired` is below every id that may still be sent.
 */
import { type DstError, invariant } from '../errors.js';
import type { ReplyFrame } from '../protocol/frame.js';
import { protocolError } from '../protocol/header.js';
import { KIND } from '../protocol/kinds.js';
import type { Credit } from '../protocol/messages.js';
import { ByteWindow } from './byte-window.js';
import { ChangesInFlight } from './changes-in-flight.js';
import type { Command, Completion, Transmit } from './command.js';
import { changes, isAnswerTo, unanswered } from './command.js';
import { type EngineCounters, newCounters } from './counters.js';
import type { Durability } from './durability.js';
import { Patience } from './patience.js';
import { Queue } from './queue.js';
import { lost, ReplayLog } from './replay-log.js';
import { Sent } from './sent.js';
import { Slots } from './slots.js';
import { newTransaction, type Transaction } from './transaction.js';

export interface EngineOptions<C extends Command> {
  /** How long a transaction may go unanswered before it is sent again, ms. */
  readonly resendTimeoutMs: number;
  /** Resends before a command fails with EIO; Infinity to never give up. */
  readonly maxResends: number;
  /** Bytes of acked changes to keep until a flush covers them; 0 keeps none. */
  readonly replayBufferBytes: number;
  /** The lowest id that no transaction of the session has had; 1 unless given. */
  readonly firstTransaction?: number;
  /** Where somebody else has to do with it as well. */
  readonly window?: ByteWindow;
  /** Makes a command of the engine's own: a replayed change, or a flush to cover the log. */
  readonly own: (command: Command) => C;
}

export class TransactionEngine<C extends Command> {
  readonly #options: EngineOptions<C>;
  readonly #patience: Patience;
  readonly #window: ByteWindow;
  readonly #log: ReplayLog;
  /** Callers' transactions that have not ended, in the order of submission. */
  readonly #unfinished = new Set<Transaction<C>>();
  readonly #sent: Sent<C>;
  readonly #changing = new ChangesInFlight();
  readonly #queue = new Queue<Transaction<C>>();
  #completions: Completion<C>[] = [];
  #slots = new Slots<Transaction<C>>();
  /** What has ended while a copy of it went unanswered: that one's stream has stalled. */
  readonly #strays = new Set<Transaction<C>>();
  #credit: Credit | undefined;
  /** Replayed changes that have not ended; while undefined, no replay is due. */
  #replaying: Set<Transaction<C>> | undefined;
  #ownFlush: Transaction<C> | undefined;
  #mustReconnect = false;
  readonly counters: EngineCounters = newCounters();

  constructor(options: EngineOptions<C>) {
    this.#options = options;
    this.#window = options.window ?? new ByteWindow();
    this.#patience = new Patience(options.resendTimeoutMs);
    this.#log = new ReplayLog(options.replayBufferBytes);
    this.#sent = new Sent(options.firstTransaction ?? 1);
  }

  // ---- Getters -------------------------------------------------------------------------

  get connected(): boolean {
    return this.#credit !== undefined;
  }

  /** Copies of transactions that were sent on this connection and not yet answered. */
  get inFlight(): number {
    return this.#slots.count;
  }

  get inFlightBytes(): number {
    return this.#slots.bytes;
  }

  /** Commands without a completion, in flight or queued. */
  get unfinished(): number {
    return this.#unfinished.size;
  }

  /** Every id below it has ended. */
  get retired(): number {
    return this.#sent.retired;
  }

  /** What the export may lose when its machine goes down: bytes of acked, unflushed changes. */
  get unflushedBytes(): number {
    return this.#log.bytes;
  }

  get replaying(): boolean {
    return this.#replaying !== undefined;
  }

  /** Of the acked changes, as far as they are kept at all. */
  get durability(): Durability {
    if (this.replaying || this.#log.doubtful) return 'doubtful';
    return this.#log.size > 0 ? 'held' : 'flushed';
  }

  /**
   * Nothing is sent until the connection has been ended: a change failed here while a copy of
   * it may still arrive, which the next connection fences; or a flush would prove nothing
   * before what the export may have lost was made again, which begins with a connection.
   */
  get mustReconnect(): boolean {
    return this.#mustReconnect;
  }

  /**
   * Whether a copy in flight has gone unanswered for suspiciously long, also one of what has
   * ended by another copy: it holds a slot and credit, without which nothing may go in the end.
   */
  overdue(nowMs: number): boolean {
    if (this.#strays.size > 0) return true;
    for (const { copies, suspectAtMs } of this.#sent.all()) {
      if (copies > 0 && suspectAtMs <= nowMs) return true;
    }
    return false;
  }

  // ---- Mutators ------------------------------------------------------------------------

  /** Takes a command on; it goes out when there is a connection and credit. */
  submit(command: C, nowMs: number): void {
    const transaction = this.#newTransaction(command, 'caller', nowMs);
    transaction.kept = this.#log.keep(command);
    this.#unfinished.add(transaction);
    if (this.#replaying === undefined) this.#queue.push(transaction);
    this.counters.submitted++;
  }

  /** Ends every unfinished command with an error. */
  failAll(error: Error): void {
    for (const transaction of [...this.#unfinished]) this.#finish(transaction, undefined, error);
  }

  // ---- What happened -------------------------------------------------------------------

  /**
   * A connection was welcomed: everything unanswered goes out again on it, oldest first.
   * With `cacheLost`, the export may have lost what it acked and did not flush, and all of
   * that goes out before.
   */
  handleConnected(credit: Credit, cacheLost: boolean, nowMs: number): void {
    this.handleDisconnected(nowMs);
    this.#credit = credit;
    if (cacheLost || (this.#log.inDoubt && this.#replaying === undefined)) {
      // By its old id the export could answer for what was made before its cache was lost. None
      // of it is acked, so making it anew is harmless; and old ids would hold a replay's window.
      this.#sent.renew();
      if (this.#log.size > 0) this.#startReplay(nowMs);
    } else if (this.#replaying !== undefined) {
      // What of a replay was acked stays made: nothing else has gone out since.
      this.#enqueue(this.#replaying);
    }
  }

  /** The connection is gone; what was in flight waits for the next one. */
  handleDisconnected(nowMs: number): void {
    this.#credit = undefined;
    this.#doubt(nowMs);
    this.#slots = new Slots();
    this.#strays.clear();
    this.#mustReconnect = false;
    this.#changing.clear();
    if (this.#ownFlush !== undefined) this.#drop(this.#ownFlush);
    this.#ownFlush = undefined;
    for (const transaction of [...this.#unfinished, ...(this.#replaying ?? [])]) {
      transaction.copies = 0;
      transaction.resendAtMs = nowMs + this.#options.resendTimeoutMs;
    }
    this.#enqueue(this.#unfinished);
  }

  /**
   * A reply on the current connection. A reply to a copy of what has ended meanwhile is
   * ignored. Throws DST_E_PROTOCOL for one that answers nothing sent on that slot, or that
   * is no answer to what was.
   */
  handleReply(slot: number, reply: ReplyFrame, nowMs: number): void {
    const transaction = this.#answered(slot, reply.transaction);
    if (transaction.ended) return;
    const { kind, creditBytes } = transaction.command;
    if (!isAnswerTo(transaction.command, reply)) {
      throw protocolError(`a reply of kind ${reply.kind} to a request of kind ${kind}`);
    }
    const tookMs = nowMs - transaction.sentMs;
    this.#patience.learn(kind, tookMs);
    if (creditBytes > 0) this.#window.onAnswer(creditBytes, this.#slots.bytes, tookMs, nowMs);
    this.#finish(transaction, reply, this.#remember(transaction, reply));
  }

  /** The reply, or the request as the export got it, failed its checksum: send it again. */
  handleCorrupt(slot: number, id: number): void {
    const transaction = this.#answered(slot, id);
    this.counters.corrupt++;
    if (transaction.ended || transaction.queued) return;
    transaction.queued = true;
    // Behind the queue it could wait for the window, and the window for it.
    this.#queue.putBack(transaction);
  }

  /** The export says that it could not make durable what it had acked. */
  handleFlushLost(): void {
    this.#log.doubt();
  }

  /** The export has these in progress: they are slow, not lost. */
  handleWorking(ids: readonly number[], nowMs: number): void {
    for (const id of ids) {
      const transaction = this.#sent.get(id);
      if (transaction !== undefined && transaction.copies > 0) this.#expect(transaction, nowMs);
    }
  }

  /**
   * Time has passed. What went unanswered for too long goes out once more, on a fresh stream.
   * While there is no connection, each timeout counts as a resend that could not be made.
   */
  handleTimeout(nowMs: number): void {
    const late = [...this.#unfinished, ...this.#own()].filter((each) => each.resendAtMs <= nowMs);
    // The oldest is put back last, and so comes first.
    for (const transaction of late.reverse()) {
      transaction.resendAtMs = nowMs + this.#options.resendTimeoutMs;
      if (transaction.copies > 0 && !transaction.queued) {
        this.counters.timedOut++;
        transaction.queued = true;
        this.#queue.putBack(transaction);
      } else if (!this.connected) {
        this.#countResend(transaction);
      }
    }
  }

  // ---- What to do now ------------------------------------------------------------------

  /**
   * The next request to send, or undefined when none can go: call until then. With `batches`,
   * small ones may share the slot of those before them, to be sent together.
   */
  pollTransmit(nowMs: number, batches = false): Transmit<C> | undefined {
    const credit = this.#credit;
    const transaction = credit && this.#nextAffordable(credit, nowMs);
    if (transaction === undefined) {
      this.#slots.endBatch();
      return undefined;
    }
    const { command } = transaction;
    if (transaction.id === 0) {
      this.#sent.giveId(transaction);
      // Of the first copy, as an answer to that one may be what ends the flush.
      transaction.covers = this.#log.next;
    }
    this.#changing.add(transaction);
    transaction.queued = false;
    transaction.sent = true;
    transaction.resendAtMs = nowMs + this.#options.resendTimeoutMs;
    if (transaction.copies === 0) {
      transaction.sentMs = nowMs;
      this.#expect(transaction, nowMs);
    }
    transaction.copies++;
    const slot = this.#slots.take(transaction, transaction.id, command.creditBytes, batches);
    return { command, transaction: transaction.id, retired: this.#sent.retired, slot };
  }

  /** The commands that have ended since the last call. */
  takeCompletions(): readonly Completion<C>[] {
    if (this.#completions.length === 0) return this.#completions;
    const taken = this.#completions;
    this.#completions = [];
    return taken;
  }

  /** When something is to be done next: a resend, or a look at `overdue`. */
  nextTimeoutMs(nowMs: number): number | undefined {
    let earliestMs: number | undefined;
    const consider = (atMs: number) => {
      if (earliestMs === undefined || atMs < earliestMs) earliestMs = atMs;
    };
    for (const { copies, queued, resendAtMs, suspectAtMs } of this.#sent.all()) {
      if (copies === 0) continue;
      if (!queued) consider(resendAtMs);
      if (suspectAtMs > nowMs) consider(suspectAtMs);
    }
    if (!this.connected) for (const { resendAtMs } of this.#unfinished) consider(resendAtMs);
    return earliestMs;
  }

  // ---- Replay and flush ----------------------------------------------------------------

  /** Puts the whole log before everything else. */
  #startReplay(nowMs: number): void {
    const replays: Transaction<C>[] = [];
    for (const command of this.#log.commands()) {
      replays.push(this.#newTransaction(this.#options.own(command), 'replay', nowMs));
    }
    invariant(replays.length > 0, 'a replay of nothing was started');
    this.#replaying = new Set(replays);
    this.#queue.replace(replays);
  }

  #endReplay(): void {
    this.#replaying = undefined;
    this.#log.onReplayed();
    this.#enqueue(this.#unfinished);
  }

  /** Makes these what goes out next, in their order. */
  #enqueue(transactions: ReadonlySet<Transaction<C>>): void {
    for (const transaction of transactions) transaction.queued = true;
    this.#queue.replace([...transactions]);
  }

  /** Keeps what must be replayed, drops what a flush covered; the error that stands instead. */
  #remember(transaction: Transaction<C>, reply: ReplyFrame): DstError | undefined {
    const { command, origin, covers } = transaction;
    const failed = reply.kind === KIND.failed;
    if (origin === 'replay') {
      this.counters.replayed++;
      if (failed) this.#log.onReplayFailed();
    } else if (command.kind === KIND.flush) {
      return this.#log.onFlushed(covers, failed, origin === 'flush');
    } else if (!failed && changes(command)) {
      this.#log.onChanged(command, transaction.kept);
      transaction.kept = undefined;
    }
    return undefined;
  }

  /** Flushes on its own account when the log has come near its bound. */
  #flushInTime(nowMs: number): void {
    if (this.#ownFlush !== undefined || this.#replaying !== undefined) return;
    // Another flush would fail as well, or prove nothing.
    if (this.#log.size === 0 || this.#log.inDoubt) return;
    const next = this.#queue.first;
    // A resend goes first: the flush could wait for the window, and the window for it.
    if (next !== undefined && next.id !== 0) return;
    const blocked = next !== undefined && !this.#fitsLog(next);
    if (!blocked && !this.#log.nearBound) return;
    this.#ownFlush = this.#newTransaction(
      this.#options.own({
        kind: KIND.flush,
        flags: 0,
        offset: 0,
        lengthBytes: 0,
        creditBytes: 0,
        payload: undefined,
      }),
      'flush',
      nowMs,
    );
    this.#queue.putBack(this.#ownFlush);
  }

  #fitsLog({ command, origin }: Transaction<C>): boolean {
    if (origin !== 'caller' || !changes(command)) return true;
    return this.#log.fits(command, this.#changing.bytes);
  }

  // ---- Inside --------------------------------------------------------------------------

  #newTransaction(command: C, origin: Transaction<C>['origin'], nowMs: number): Transaction<C> {
    return newTransaction(command, origin, nowMs + this.#options.resendTimeoutMs);
  }

  /** Takes the head of the queue if it may go now, past those that have ended. */
  #nextAffordable(credit: Credit, nowMs: number): Transaction<C> | undefined {
    while (!this.#mustReconnect) {
      while (this.#queue.first?.ended) this.#queue.shift();
      this.#flushInTime(nowMs);
      const transaction = this.#queue.first;
      if (transaction === undefined) return undefined;
      if (this.#log.inDoubt && !this.#fitsLog(transaction)) {
        this.#finish(transaction, undefined, lost('a flush failed, and no more can be kept'));
        continue;
      }
      if (!this.#affordable(transaction, credit)) return undefined;
      if (this.#log.inDoubt && transaction.command.kind === KIND.flush) {
        this.#mustReconnect = true;
        return undefined;
      }
      this.#queue.shift();
      if (!transaction.sent || this.#countResend(transaction)) return transaction;
    }
    return undefined;
  }

  #affordable(transaction: Transaction<C>, credit: Credit): boolean {
    const { command } = transaction;
    if (this.#sent.distance(transaction) >= credit.window) return false;
    if (!this.#slots.affords(command.creditBytes, credit, this.#window.bytes)) return false;
    if (!changes(command) || this.#changing.has(transaction)) return true;
    return this.#fitsLog(transaction) && !this.#changing.touches(transaction);
  }

  /**
   * What is late on a connection that ends may only have been slow: a line that carries it in
   * two seconds would be given up after one for ever, and never carry it.
   */
  #doubt(nowMs: number): void {
    const late = new Set<Command['kind']>();
    for (const { command, copies, suspectAtMs } of this.#sent.all()) {
      if (copies > 0 && suspectAtMs <= nowMs) late.add(command.kind);
    }
    for (const kind of late) this.#patience.doubt(kind);
    if (late.size > 0) this.#window.shrink(nowMs);
  }

  /** Sets when an answer is due from now. */
  #expect(transaction: Transaction<C>, nowMs: number): void {
    transaction.resendAtMs = nowMs + this.#options.resendTimeoutMs;
    transaction.suspectAtMs = nowMs + this.#patience.limitMs(transaction.command.kind);
  }

  /** What the engine has sent on its own account, and waits for. */
  #own(): Transaction<C>[] {
    const own = this.#ownFlush === undefined ? [] : [this.#ownFlush];
    return [...(this.#replaying ?? []), ...own].filter(({ copies }) => copies > 0);
  }

  /** Frees the slot that an answer came on, and tells whose it was. */
  #answered(slot: number, id: number): Transaction<C> {
    const transaction = this.#slots.release(slot, id);
    if (transaction === undefined) {
      throw protocolError(`an answer to transaction ${id}, which was not asked there`);
    }
    transaction.copies--;
    if (transaction.copies === 0) this.#strays.delete(transaction);
    return transaction;
  }

  /** Counts one more resend; past the bound the command fails, and false is returned. */
  #countResend(transaction: Transaction<C>): boolean {
    transaction.resends++;
    // What the engine sends on its own account has nobody to fail to.
    if (transaction.resends <= this.#options.maxResends || transaction.origin !== 'caller') {
      this.counters.resent++;
      return true;
    }
    if (transaction.copies > 0 && changes(transaction.command)) this.#mustReconnect = true;
    this.#finish(transaction, undefined, unanswered(this.#options.maxResends));
    return false;
  }

  #finish(transaction: Transaction<C>, reply: ReplyFrame | undefined, error?: Error): void {
    const { command, origin } = transaction;
    this.#drop(transaction);
    if (transaction.copies > 0) this.#strays.add(transaction);
    if (origin === 'caller') {
      this.#unfinished.delete(transaction);
      if (transaction.kept !== undefined) this.#log.release(transaction.kept);
      this.counters.completed++;
    } else if (origin === 'replay') {
      this.#replaying?.delete(transaction);
      if (this.#replaying?.size === 0) this.#endReplay();
    } else {
      this.#ownFlush = undefined;
    }
    this.#completions.push({ command, reply: error === undefined ? reply : undefined, error });
  }

  /** Forgets a transaction, but for the slots that copies of it may hold. */
  #drop(transaction: Transaction<C>): void {
    transaction.ended = true;
    this.#changing.delete(transaction);
    this.#sent.drop(transaction);
  }
}
