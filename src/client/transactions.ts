/**
 * Runs commands: drives the transaction engine over the link that a session gives it, and over
 * none while there is none. Checksums of large payloads are left to other threads, where there
 * are some, before the engine hears of a command or of an answer.
 */
import type { Payload } from '../block/payload.js';
import type { Clock, Timer } from '../clock.js';
import { DstError } from '../errors.js';
import { SUSPECT_AFTER_MIN_MS } from '../limits.js';
import type { Log } from '../log.js';
import { NO_CHECKSUM, type ReplyFrame, type RequestKind } from '../protocol/frame.js';
import { KIND } from '../protocol/kinds.js';
import { ByteWindow } from '../transaction/byte-window.js';
import type { EngineCounters } from '../transaction/counters.js';
import { TransactionEngine } from '../transaction/engine.js';
import { deviceError, encodeCommand, isDamaged, type PendingCommand } from './commands.js';
import type { Load } from './lane.js';
import type { Link } from './link.js';
import type { SessionIdentity } from './session-identity.js';
import type { UnflushedMark } from './unflushed-mark.js';

export interface TransactionsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly resendTimeoutMs: number;
  readonly maxResends: number;
  readonly replayBufferBytes: number;
  /** Whose ids transactions get. */
  readonly identity: SessionIdentity;
  readonly unflushed: UnflushedMark;
}

/** What a session wants to hear. */
export interface TransactionsHost {
  /** The link has answered something, before anything more is sent. */
  onUse(): void;
  /** The same, after that: what was late may no longer be. */
  onEased(): void;
  /** Time has passed: something may be late now. */
  onTime(): void;
  /** A replay, or a flush on the engine's own account, failed. */
  ownFailed(error: Error): void;
}

export class Transactions {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #host: TransactionsHost;
  readonly #identity: SessionIdentity;
  readonly #unflushed: UnflushedMark;
  readonly #window = new ByteWindow();
  readonly #engine: TransactionEngine<PendingCommand>;
  /** What transactions go out on; undefined while the session has no link that works. */
  #link: Link | undefined;
  #timer: Timer | undefined;
  /** Something may be sent at the end of this turn. */
  #sending = false;
  #closed: DstError | undefined;

  constructor(options: TransactionsOptions, host: TransactionsHost) {
    const { clock, log, resendTimeoutMs, maxResends, replayBufferBytes } = options;
    this.#clock = clock;
    this.#log = log;
    this.#host = host;
    this.#identity = options.identity;
    this.#unflushed = options.unflushed;
    this.#engine = new TransactionEngine({
      resendTimeoutMs,
      maxResends,
      replayBufferBytes,
      firstTransaction: options.identity.record.transaction,
      window: this.#window,
      own: (command) => ({
        ...command,
        checksum: NO_CHECKSUM,
        checksumName: undefined,
        resolve() {},
        reject: (error) => host.ownFailed(error),
      }),
    });
  }

  get counters(): Readonly<EngineCounters> {
    return this.#engine.counters;
  }

  /** Commands submitted and not yet ended. */
  get unfinished(): number {
    return this.#engine.unfinished;
  }

  /** Bytes of acked changes that no flush covers yet. */
  get unflushedBytes(): number {
    return this.#engine.unflushedBytes;
  }

  /** Something waits for a link. */
  get waiting(): boolean {
    return this.#engine.unfinished > 0 || this.#engine.replaying;
  }

  /** Whether an answer is suspiciously late. */
  get overdue(): boolean {
    return this.#engine.overdue(this.#clock.nowMs());
  }

  /** As `RemoteSession.run`. */
  run(
    kind: RequestKind,
    flags: number,
    offset: number,
    lengthBytes: number,
    creditBytes: number,
    payload: Payload | undefined,
  ): Promise<ReplyFrame> {
    return new Promise((resolve, reject) => {
      // Field by field: V8 takes 6 us to spread one object into another here.
      const command: PendingCommand = {
        kind,
        flags,
        offset,
        lengthBytes,
        creditBytes,
        payload,
        checksum: NO_CHECKSUM,
        checksumName: undefined,
        resolve,
        reject,
      };
      const hashed = payload === undefined ? undefined : this.#hash(command, payload);
      if (hashed === undefined) this.#submit(command);
      else void hashed.then(() => this.#submit(command));
    });
  }

  /**
   * Makes a welcomed link the one in use. With `cacheLost`, the export may have lost what it
   * acked and did not flush. What goes out on the link waits for `proceed`.
   */
  attach(link: Link, cacheLost: boolean): void {
    this.#link = link;
    this.#engine.handleConnected(link.welcome.credit, cacheLost, this.#clock.nowMs());
  }

  /** The link is of no more use: everything waits for the next one. */
  detach(): void {
    this.#link = undefined;
    this.#engine.handleDisconnected(this.#clock.nowMs());
    this.#armTimer();
  }

  /** Sends what can be sent. */
  proceed(): void {
    this.#transmit();
    this.#armTimer();
  }

  /** A reply came on a slot of the link. */
  onReply(link: Link, slot: number, reply: ReplyFrame): void {
    const intact = isIntact(link, reply);
    if (typeof intact === 'boolean') {
      this.#take(link, slot, reply, intact);
      return;
    }
    // The slot stays taken until the engine hears of the reply; on another link it is another.
    void intact.then((whole) => {
      if (link === this.#link) this.#take(link, slot, reply, whole);
    });
  }

  /** The export has these in progress: they are slow, not lost. */
  onWorking(ids: readonly number[]): void {
    this.#engine.handleWorking(ids, this.#clock.nowMs());
  }

  /** The export says that it could not make durable what it had acked. */
  onFlushLost(): void {
    this.#engine.handleFlushLost();
    this.#unflushed.note(this.#engine.durability);
  }

  /** Ends every command with this error, and all that come later. */
  end(reason: DstError): void {
    this.#closed = reason;
    this.#link = undefined;
    this.#timer?.cancel();
    this.#engine.failAll(reason);
    this.#deliver();
    this.#unflushed.end();
  }

  /** The checksum of a large payload, by another thread; undefined where it is computed later. */
  #hash(command: PendingCommand, payload: Payload): Promise<void> | undefined {
    const checksum = this.#link?.checksum;
    return checksum?.digestOffThread(payload.pieces)?.then((digest) => {
      command.checksum = digest;
      command.checksumName = checksum.name;
    });
  }

  #submit(command: PendingCommand): void {
    if (this.#closed !== undefined) {
      command.reject(this.#closed);
      return;
    }
    this.#engine.submit(command, this.#clock.nowMs());
    this.#proceedSoon();
  }

  /** What is submitted, and what answers make room for, in one turn goes out together. */
  #proceedSoon(): void {
    if (this.#sending) return;
    this.#sending = true;
    this.#clock.endOfTurn(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#sending = false;
    if (this.#closed === undefined) this.proceed();
  };

  #transmit(): void {
    const link = this.#link;
    if (link !== undefined) this.#transmitOn(link);
    this.#deliver();
    if (this.#engine.mustReconnect) {
      this.#link?.fail(
        new DstError('DST_E_STALLED', 'what this connection carried, or acked, is in doubt'),
      );
    }
  }

  /** Writes what goes out on one slot by one call. */
  #transmitOn(link: Link): void {
    const nowMs = this.#clock.nowMs();
    let slot = -1;
    let pieces: Buffer[] = [];
    let load: Load = { transactions: 0, bytes: 0 };
    this.#window.lanes = link.width;
    // Sending may show that the link is of no more use: then all of this waits for the next.
    while (link === this.#link) {
      const next = this.#engine.pollTransmit(nowMs, link.batches);
      if (next?.slot !== slot) {
        if (pieces.length > 0) link.send(slot, pieces, load);
        pieces = [];
        load = { transactions: 0, bytes: 0 };
      }
      if (next === undefined) break;
      slot = next.slot;
      this.#identity.useTransaction(next.transaction);
      pieces.push(...encodeCommand(next, link.checksum));
      load.transactions++;
      load.bytes += next.command.creditBytes;
    }
  }

  #take(link: Link, slot: number, reply: ReplyFrame, intact: boolean): void {
    const { transaction } = reply;
    try {
      if (!intact) {
        this.#log.warn({ transaction }, 'a reply failed its checksum');
        this.#engine.handleCorrupt(slot, transaction);
      } else if (isDamaged(reply)) {
        this.#log.warn({ transaction }, 'a write failed its checksum');
        this.#engine.handleCorrupt(slot, transaction);
      } else {
        this.#engine.handleReply(slot, reply, this.#clock.nowMs());
      }
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      link.fail(error);
      return;
    }
    this.#host.onUse();
    this.#deliver();
    this.#proceedSoon();
    this.#host.onEased();
  }

  #deliver(): void {
    this.#unflushed.note(this.#engine.durability);
    for (const { command, reply, error } of this.#engine.takeCompletions()) {
      if (reply === undefined) command.reject(error as Error);
      else if (reply.kind === KIND.failed) command.reject(deviceError(reply));
      else command.resolve(reply);
    }
  }

  /**
   * One timer for what is due first. It fires once in SUSPECT_AFTER_MIN_MS all the same, as
   * what is submitted after it was set may be due earlier.
   */
  #armTimer(): void {
    if (this.#timer !== undefined || this.#closed !== undefined) return;
    const nowMs = this.#clock.nowMs();
    const dueMs = this.#engine.nextTimeoutMs(nowMs);
    if (dueMs === undefined) return;
    const delayMs = Math.min(SUSPECT_AFTER_MIN_MS, Math.max(1, dueMs - nowMs));
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#engine.handleTimeout(this.#clock.nowMs());
      this.#transmit();
      this.#host.onTime();
      this.#armTimer();
    });
  }
}

/** A promise, which never rejects, where another thread finds out. FAILED has no checksum. */
function isIntact(link: Link, reply: ReplyFrame): boolean | Promise<boolean> {
  if (reply.payloadBytes === 0 || reply.kind === KIND.failed) return true;
  const { payload, checksum } = reply;
  return (
    link.checksum.matchesOffThread(payload, checksum) ?? link.checksum.matches(payload, checksum)
  );
}
