/**
 * The client's session with one export, over one link after another. A link that is suspected
 * stays in use while another is dialled, and whichever answers first is kept; what was in flight
 * on one that is given up goes out again. Commands are run by transactions.ts.
 */
import type { Payload } from '../block/payload.js';
import type { Clock } from '../clock.js';
import { DstError } from '../errors.js';
import type { ReplyFrame, RequestKind } from '../protocol/frame.js';
import { KIND } from '../protocol/kinds.js';
import {
  type ExportDescription,
  failureError,
  type Notice,
  type Welcome,
} from '../protocol/messages.js';
import type { EngineCounters } from '../transaction/counters.js';
import type { Connection } from '../transport/transport.js';
import { Connector } from './connector.js';
import type { Dial } from './dial.js';
import { inheritedCacheLost, inheritedFlushFailed } from './inherited.js';
import { type LaneCount, LaneKeeper, type LanesChoice } from './lane-keeper.js';
import type { Link } from './link.js';
import { LinkUse } from './link-use.js';
import { OutageLimit } from './outage-limit.js';
import { Redialer } from './redialer.js';
import { FINAL_REFUSALS, isFinalRefusal, newsOfRefusal, OWN_DOING } from './refusals.js';
import { type CompleteSessionOptions, completed, type SessionOptions } from './session-options.js';
import { type PathChange, StateLog } from './state-log.js';
import { Suspicion } from './suspicion.js';
import { Transactions } from './transactions.js';
import { UnflushedMark } from './unflushed-mark.js';

/** Of no export. */
const NO_VERIFIER = Buffer.alloc(0);

export class RemoteSession {
  readonly #options: CompleteSessionOptions;
  readonly #clock: Clock;
  readonly #connector: Connector;
  readonly #redialer: Redialer;
  readonly #suspicion: Suspicion;
  readonly #transactions: Transactions;
  readonly #lanes: LaneKeeper;
  readonly #states: StateLog;
  readonly #use: LinkUse;
  readonly #outage: OutageLimit;
  readonly #unflushed: UnflushedMark;
  readonly #unwatch: () => void;
  #link: Link;
  #linkUp = false;
  #downSinceMs = 0;
  #offered: ExportDescription;
  /** The longest payload of one transaction; commands are split by it. */
  readonly payloadBytesMax: number;
  readonly #replayBufferBytes: number;
  /** Of the export that has what was acked. */
  #verifier: Buffer;
  #closed: DstError | undefined;
  #left: Promise<unknown> = Promise.resolve();
  #tellRefused: (reason: DstError) => void = () => {};
  reconnects = 0;
  /** Resolves when the session has ended for good by itself: every command fails from then. */
  readonly refused = new Promise<DstError>((resolve) => {
    this.#tellRefused = resolve;
  });

  private constructor(options: CompleteSessionOptions, connector: Connector, link: Link) {
    const { clock, random, log, identity } = options;
    this.#options = options;
    this.#clock = clock;
    this.#connector = connector;
    this.#states = new StateLog(log, options.exportName, options.currentRoute);
    this.#use = new LinkUse(options.heard);
    this.#link = link;
    this.#offered = offeredBy(link.welcome);
    this.#unflushed = new UnflushedMark(identity, clock);
    this.#verifier = this.#unflushed.inherited
      ? (identity.record.verifier ?? NO_VERIFIER)
      : link.welcome.verifier;
    this.payloadBytesMax = link.welcome.payloadBytesMax;
    // Where nothing can be flushed, there is nothing that a flush would cover.
    this.#replayBufferBytes = this.#offered.capabilities.includes('flush')
      ? options.replayBufferBytes
      : 0;
    this.#transactions = new Transactions(
      {
        ...options,
        replayBufferBytes: this.#replayBufferBytes,
        unflushed: this.#unflushed,
      },
      {
        onUse: () => this.#onReply(),
        onEased: () => this.#reviewSuspected(),
        onTime: () => this.#review(),
        ownFailed: (error) => this.#states.ownFailed(error),
      },
    );
    this.#outage = new OutageLimit(clock, options.maxOutageMs, (reason) => {
      if (!this.#linkUp) this.#giveUp(reason);
    });
    this.#redialer = new Redialer({
      clock,
      random,
      urgent: () => this.#transactions.waiting,
      attempt: (request) => this.#attempt(request),
    });
    this.#lanes = new LaneKeeper({
      ...{ clock, random, log, choice: options.lanes },
      open: (of, lane, signal) => connector.openLane(of, lane, signal),
    });
    this.#suspicion = new Suspicion(this.#states, this.#redialer);
    this.#unwatch = options.watchPath?.((why) => this.#onPathChanged(why)) ?? (() => {});
    this.#adopt(link);
  }

  /**
   * Connects for the first time; rejects with the reason where that fails. A session that is
   * resumed is open once all is flushed that the process before had acked. Where that may have
   * been lost it rejects with DST_E_REPLAY_LOST, now and each time that it is resumed.
   */
  static async open(options: SessionOptions): Promise<RemoteSession> {
    const complete = completed(options);
    const connector = new Connector(complete);
    const session = new RemoteSession(complete, connector, await connector.openFirst());
    await session.#flushInherited();
    return session;
  }

  /** What the export said of itself, last. */
  get welcome(): Welcome {
    return this.#link.welcome;
  }

  /** The store as it is now: it may be resized. */
  get offered(): ExportDescription {
    return this.#offered;
  }

  get connected(): boolean {
    return this.#linkUp;
  }

  /** Connections side by side, and how many are wanted. */
  get lanes(): LaneCount {
    return this.#lanes.count;
  }

  /** Has so many lanes from now on; what is in flight on one that goes is waited for. */
  chooseLanes(choice: LanesChoice): void {
    this.#lanes.choose(choice);
  }

  get counters(): Readonly<EngineCounters> {
    return this.#transactions.counters;
  }

  /** Commands submitted and not yet ended. */
  get unfinished(): number {
    return this.#transactions.unfinished;
  }

  /** Bytes of acked changes that no flush covers yet. */
  get unflushedBytes(): number {
    return this.#transactions.unflushedBytes;
  }

  /**
   * Carries one command out, resending it as often as it takes. Rejects with the device's
   * error, with DST_E_RESENDS when the export stayed away too long, or when closed.
   */
  run(
    kind: RequestKind,
    flags: number,
    offset: number,
    lengthBytes: number,
    creditBytes: number,
    payload: Payload | undefined,
  ): Promise<ReplyFrame> {
    const reply = this.#transactions.run(kind, flags, offset, lengthBytes, creditBytes, payload);
    if (this.#redialer.running) this.#redialer.hurry();
    return reply;
  }

  /** Measures one round trip, ms. */
  ping(): Promise<number> {
    return this.#link.ping();
  }

  /**
   * Ends the session; commands that are not done reject. Resolves when the export knows, where
   * it can be reached: the next client need not wait for the lease then.
   */
  async close(): Promise<void> {
    this.#leave(new DstError('DST_E_CLOSED', 'the device was closed', { errno: 'ESHUTDOWN' }));
    await this.#left;
  }

  // ---- Connecting ----------------------------------------------------------------------

  async #attempt(request: Parameters<Dial>[0]): Promise<void> {
    let greeted: Connection | undefined;
    try {
      if (this.#linkUp) this.#link.probe();
      const link = await this.#connector.open(request, (connection) => {
        greeted = connection;
      });
      // A later HELLO has fenced it, or is about to.
      const outdated = link.welcome.epoch !== this.#connector.epoch;
      if (this.#closed !== undefined) await link.leave();
      else if (outdated) link.close('a newer connection has taken over');
      else this.#readopt(link);
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      if (this.#closed !== undefined) return;
      this.#onAttemptFailed(error, greeted);
    }
  }

  /** An attempt has failed, after its HELLO went out where it `greeted` on a connection. */
  #onAttemptFailed(error: DstError, greeted: Connection | undefined): void {
    const ours = this.#link.connection.transport;
    const sameTransport = greeted === undefined || greeted.transport === ours;
    if (isFinalRefusal(error, this.#linkUp, sameTransport)) this.#giveUp(error);
    else if (OWN_DOING.has(error.code)) return;
    else if (!this.#linkUp) this.#states.failed(error);
    else if (greeted !== undefined && newsOfRefusal(error) !== undefined) {
      // The other way was tried, and the link still works: to ask on would be a storm.
      this.#suspicion.pathTried();
      this.#review(error);
    }
  }

  #readopt(link: Link): void {
    this.reconnects++;
    const old = this.#link;
    const outageMs = this.#linkUp ? 0 : this.#clock.nowMs() - this.#downSinceMs;
    this.#linkUp = false;
    old.close('a newer connection has taken over');
    this.#states.up({ epoch: link.welcome.epoch, outageMs: Math.round(outageMs) });
    this.#adopt(link);
  }

  /** Makes a welcomed link the one in use; what is unanswered goes out on it at once. */
  #adopt(link: Link): void {
    const { welcome } = link;
    if (welcome.payloadBytesMax < this.payloadBytesMax) {
      this.#giveUp(
        new DstError(
          'DST_E_LIMIT',
          `the export came back with a limit of ${welcome.payloadBytesMax} bytes a transaction, and had ${this.payloadBytesMax}: connect again`,
        ),
      );
      link.close('its limits are too low');
      return;
    }
    this.#redialer.stop();
    this.#link = link;
    this.#linkUp = true;
    this.#use.begin(link.connection);
    this.#suspicion.reset();
    this.#resize(offeredBy(welcome).sizeBytes);
    const cacheLost = !welcome.verifier.equals(this.#verifier);
    if (cacheLost && this.#unflushed.inherited) {
      this.#leave(inheritedCacheLost());
      return;
    }
    if (cacheLost) this.#verifier = welcome.verifier;
    this.#unflushed.welcomed(this.#verifier);
    if (cacheLost && !this.#options.readOnly)
      this.#states.cacheLost(this.unflushedBytes, this.#replayBufferBytes > 0);
    this.#transactions.attach(link, cacheLost);
    this.#lanes.attach(link);
    link.start({
      onReply: (slot, reply) => this.#transactions.onReply(link, slot, reply),
      onNotice: (notice) => this.#onNotice(notice),
      onSilence: () => this.#review(),
      onHeard: () => this.#review(),
      onAlive: () => this.#onUse(),
      onDown: (reason) => this.#onDown(link, reason),
    });
    this.#transactions.proceed();
  }

  #onDown(link: Link, reason: DstError): void {
    if (link !== this.#link || !this.#linkUp || this.#closed !== undefined) return;
    this.#linkUp = false;
    this.#downSinceMs = this.#clock.nowMs();
    // Fenced means by our own newer HELLO, whose WELCOME is on its way: no outage.
    if (!OWN_DOING.has(reason.code)) {
      this.#states.down(reason, this.unfinished);
      if (this.#transactions.waiting) this.#use.tell('useless');
    }
    this.#lanes.detach();
    this.#transactions.detach();
    // Connections that are of no use, one after the other, are one outage.
    this.#outage.begin();
    this.#redialer.start();
  }

  /** A transaction was answered. */
  #onReply(): void {
    this.#use.tell('used');
    this.#onUse();
  }

  /** The link has answered something. */
  #onUse(): void {
    // What is dialled beside a link that answers is none the better for that.
    if (!this.#redialer.running) this.#redialer.succeeded();
    this.#outage.end();
  }

  #onPathChanged(why: PathChange = 'path'): void {
    if (this.#closed !== undefined) return;
    this.#suspicion.pathChanged(why);
    this.#redialer.hurry();
    this.#review();
  }

  /** Looks whether the link is suspect; `refusal` is that of another connection. */
  #review(refusal?: DstError): void {
    if (!this.#linkUp) return;
    const { overdue } = this.#transactions;
    if (overdue) this.#use.tell('useless');
    this.#suspicion.review({ overdue, silent: this.#link.silent }, refusal);
  }

  #reviewSuspected(): void {
    if (this.#suspicion.suspected) this.#review();
  }

  #resize(sizeBytes: number): void {
    if (sizeBytes === this.#offered.sizeBytes) return;
    const { onResized } = this.#options;
    this.#states.resized(this.#offered.sizeBytes, sizeBytes, onResized !== undefined);
    this.#offered = { ...this.#offered, sizeBytes };
    onResized?.(sizeBytes);
  }

  #onNotice(notice: Notice): void {
    switch (notice.event) {
      case 'going away':
        this.#states.goingAway();
        break;
      case 'closing': {
        const reason = failureError(notice.failure);
        if (reason.code === 'DST_E_FLUSH_LOST') this.#onFlushLost(reason);
        if (FINAL_REFUSALS.has(reason.code)) this.#giveUp(reason);
        else this.#link.fail(reason);
        break;
      }
      case 'lanes':
        this.#lanes.allow(notice.lanes);
        break;
      case 'resized':
        this.#resize(notice.sizeBytes);
        break;
      case 'working':
        this.#transactions.onWorking(notice.transactions);
        this.#reviewSuspected();
        break;
    }
  }

  /** The export could not make durable what it had acked. */
  #onFlushLost(reason: DstError): void {
    if (this.#unflushed.inherited) this.#loseInherited(reason);
    else this.#transactions.onFlushLost();
  }

  // ---- What a process before has left --------------------------------------------------

  async #flushInherited(): Promise<void> {
    if (!this.#unflushed.inherited) return;
    try {
      await this.#transactions.run(KIND.flush, 0, 0, 0, 0, undefined);
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      if (this.#closed === undefined && error.code === 'DST_E_RESENDS') this.#giveUp(error);
      else if (this.#closed === undefined) this.#loseInherited(error);
    }
    await this.#left;
    if (this.#closed !== undefined) throw this.#closed;
    this.#unflushed.inheritedFlushed();
  }

  #loseInherited(cause: DstError): void {
    this.#unflushed.inheritedLost();
    this.#leave(inheritedFlushFailed(cause));
  }

  // ---- The end -------------------------------------------------------------------------

  /** Ends the session, and tells the export so where it can be reached. */
  #leave(reason: DstError): void {
    if (this.#closed !== undefined) return;
    const left = [this.#linkUp ? this.#link.leave() : undefined, this.#connector.leave()];
    this.#end(reason);
    this.#left = Promise.all(left);
  }

  /** The session is over, and not by our will. */
  #giveUp(reason: DstError): void {
    if (this.#closed !== undefined) return;
    const error = new DstError(reason.code, reason.message, { errno: 'EIO', cause: reason });
    this.#connector.close();
    this.#link.close(error.message);
    this.#end(error);
    this.#tellRefused(error);
  }

  /** Ends everything but connections, which are left or closed by the caller. */
  #end(reason: DstError): void {
    this.#closed = reason;
    this.#linkUp = false;
    this.#outage.end();
    this.#unwatch();
    this.#lanes.detach();
    this.#redialer.stop();
    this.#transactions.end(reason);
    this.#states.ended(this.counters, this.reconnects);
  }
}

function offeredBy(welcome: Welcome): ExportDescription {
  if (welcome.export === undefined) throw new Error('a WELCOME without an export was accepted');
  return welcome.export;
}
