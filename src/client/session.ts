/**
 * The client's session with one export, over one link after another. A link that is suspected
 * stays in use while another is dialled, and whichever answers first is kept; what was in flight
 * on one that is given up goes out again. Commands are run by transactions.ts.
 */
import type { ChecksumName } from '../../wasm/checksums.js';
import type { Secret } from '../access/secret.js';
import type { Payload } from '../block/payload.js';
import { type Clock, systemClock, type Timer } from '../clock.js';
import { DstError } from '../errors.js';
import {
  PING_INTERVAL_MS,
  REPLAY_BUFFER_BYTES,
  RESEND_TIMEOUT_MS,
  RESENDS_MAX,
} from '../limits.js';
import type { Log } from '../log.js';
import type { ReplyFrame, RequestKind } from '../protocol/frame.js';
import {
  type ExportDescription,
  failureError,
  type Notice,
  type Welcome,
} from '../protocol/messages.js';
import type { EngineCounters } from '../transaction/engine.js';
import type { Connection } from '../transport/transport.js';
import { Connector } from './connector.js';
import type { Dial, Link } from './link.js';
import { Redialer } from './redialer.js';
import { FINAL_REFUSALS, isFinalRefusal, newsOfRefusal, OWN_DOING } from './refusals.js';
import type { ConnectionNews, Route } from './route/route.js';
import type { SessionIdentity } from './session-identity.js';
import { type PathChange, StateLog } from './state-log.js';
import { Transactions } from './transactions.js';

export interface SessionOptions {
  readonly dial: Dial;
  readonly exportName: string;
  /** Checksums to accept; the export's order decides among them. */
  readonly checksums: readonly ChecksumName[];
  readonly readOnly: boolean;
  /** Shared with the export, which must hold it too. */
  readonly secret?: Secret | undefined;
  readonly log: Log;
  readonly resendTimeoutMs?: number;
  /** Infinity to never give a command up. */
  readonly maxResends?: number;
  readonly pingIntervalMs?: number;
  /** Bytes of acked writes that are kept until a flush covers them; 0 keeps none. */
  readonly replayBufferBytes?: number;
  /** An outage that lasts longer ends the session; Infinity unless given. */
  readonly maxOutageMs?: number;
  /** Fences whoever writes to the export now, and writes in his place. */
  readonly takeover?: boolean;
  /** Calls back whenever another way to the export may be better; returns how to stop. */
  readonly watchPath?: (changed: (why?: PathChange) => void) => () => void;
  /** Told what becomes of each connection that says HELLO. */
  readonly heard?: (connection: Connection, news: ConnectionNews) => void;
  /** By which transport the export said WELCOME last, where there is a choice. */
  readonly currentRoute?: () => Route | undefined;
  /** To be kept by whoever tries more than once to open the session. */
  readonly identity?: SessionIdentity;
  readonly clock?: Clock;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

export class RemoteSession {
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #connector: Connector;
  readonly #redialer: Redialer;
  readonly #transactions: Transactions;
  readonly #states: StateLog;
  readonly #unwatch: () => void;
  #link: Link;
  #linkUp = false;
  /** What has been told of the link: WELCOME does not prove that transactions come through. */
  #linkUse: 'used' | 'useless' | undefined;
  #downSinceMs = 0;
  #offered: ExportDescription;
  /** The longest payload of one transaction; commands are split by it. */
  readonly payloadBytesMax: number;
  readonly #replayBufferBytes: number;
  #verifier: Buffer;
  #suspected = false;
  #pathChange: PathChange | undefined;
  #outageTimer: Timer | undefined;
  #closed: DstError | undefined;
  #tellRefused: (reason: DstError) => void = () => {};
  reconnects = 0;
  /** Resolves when the session has ended for good by itself: every command fails from then. */
  readonly refused = new Promise<DstError>((resolve) => {
    this.#tellRefused = resolve;
  });

  private constructor(options: SessionOptions, connector: Connector, link: Link) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#connector = connector;
    this.#states = new StateLog(options.log, options.exportName, options.currentRoute);
    this.#link = link;
    this.#offered = offeredBy(link.welcome);
    this.#verifier = link.welcome.verifier;
    this.payloadBytesMax = link.welcome.payloadBytesMax;
    // Where nothing can be flushed, there is nothing that a flush would cover.
    this.#replayBufferBytes = this.#offered.capabilities.includes('flush')
      ? (options.replayBufferBytes ?? REPLAY_BUFFER_BYTES)
      : 0;
    this.#transactions = new Transactions(
      {
        clock: this.#clock,
        log: options.log,
        resendTimeoutMs: options.resendTimeoutMs ?? RESEND_TIMEOUT_MS,
        maxResends: options.maxResends ?? RESENDS_MAX,
        replayBufferBytes: this.#replayBufferBytes,
      },
      {
        onUse: () => this.#onReply(),
        onEased: () => this.#reviewSuspected(),
        onTime: () => this.#review(),
        ownFailed: (error) => this.#states.ownFailed(error),
      },
    );
    this.#redialer = new Redialer({
      clock: this.#clock,
      random: options.random ?? Math.random,
      urgent: () => this.#transactions.waiting,
      attempt: (request) => this.#attempt(request),
    });
    this.#unwatch = options.watchPath?.((why) => this.#onPathChanged(why)) ?? (() => {});
    this.#adopt(link);
  }

  /** Connects for the first time; rejects with the reason where that fails. */
  static async open(options: SessionOptions): Promise<RemoteSession> {
    const connector = new Connector({
      ...options,
      clock: options.clock ?? systemClock,
      pingIntervalMs: options.pingIntervalMs ?? PING_INTERVAL_MS,
    });
    return new RemoteSession(options, connector, await connector.openFirst());
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
    if (this.#closed !== undefined) return;
    const left = [this.#linkUp ? this.#link.leave() : undefined, this.#connector.leave()];
    this.#end(new DstError('DST_E_CLOSED', 'the device was closed', { errno: 'ESHUTDOWN' }));
    await Promise.all(left);
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
      this.#pathChange = undefined;
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
    this.#linkUse = undefined;
    this.#suspected = false;
    this.#pathChange = undefined;
    this.#resize(offeredBy(welcome).sizeBytes);
    const cacheLost = !welcome.verifier.equals(this.#verifier);
    this.#verifier = welcome.verifier;
    if (cacheLost && !this.#options.readOnly)
      this.#states.cacheLost(this.unflushedBytes, this.#replayBufferBytes > 0);
    this.#transactions.attach(link, cacheLost);
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
      if (this.#transactions.waiting) this.#tellUse('useless');
    }
    this.#transactions.detach();
    this.#startOutage();
    this.#redialer.start();
  }

  /** Connections that are of no use, one after the other, are one outage. */
  #startOutage(): void {
    const { maxOutageMs = Number.POSITIVE_INFINITY } = this.#options;
    if (maxOutageMs === Number.POSITIVE_INFINITY || this.#outageTimer !== undefined) return;
    this.#outageTimer = this.#clock.after(maxOutageMs, () => {
      this.#outageTimer = undefined;
      if (!this.#linkUp) this.#giveUp(outage(maxOutageMs));
    });
  }

  /** A transaction was answered. */
  #onReply(): void {
    this.#tellUse('used');
    this.#onUse();
  }

  #tellUse(use: 'used' | 'useless'): void {
    if (this.#linkUse === 'used' || this.#linkUse === use) return;
    this.#linkUse = use;
    this.#options.heard?.(this.#link.connection, use);
  }

  /** The link has answered something. */
  #onUse(): void {
    // What is dialled beside a link that answers is none the better for that.
    if (!this.#redialer.running) this.#redialer.succeeded();
    this.#outageTimer?.cancel();
    this.#outageTimer = undefined;
  }

  #onPathChanged(why: PathChange = 'path'): void {
    if (this.#closed !== undefined) return;
    this.#pathChange = why;
    this.#redialer.hurry();
    this.#review();
  }

  /**
   * Dials beside the link while that is suspect, and stops when it no longer is; `refusal` is
   * that of another connection, if there was one.
   */
  #review(refusal?: DstError): void {
    if (!this.#linkUp) return;
    const { overdue } = this.#transactions;
    if (overdue) this.#tellUse('useless');
    const suspected = overdue || this.#link.silent || this.#pathChange !== undefined;
    if (suspected && !this.#suspected) {
      this.#states.suspected(this.#pathChange ?? (overdue ? 'transaction' : 'ping'));
      this.#redialer.start();
    } else if (!suspected && this.#suspected) {
      this.#states.recovered(refusal);
      this.#redialer.stop();
    }
    this.#suspected = suspected;
  }

  #reviewSuspected(): void {
    if (this.#suspected) this.#review();
  }

  #resize(sizeBytes: number): void {
    if (sizeBytes === this.#offered.sizeBytes) return;
    this.#options.log.info(
      { sizeBytes, wasBytes: this.#offered.sizeBytes },
      'the export was resized; NBD clients see it when they connect anew',
    );
    this.#offered = { ...this.#offered, sizeBytes };
  }

  #onNotice(notice: Notice): void {
    switch (notice.event) {
      case 'going away':
        this.#options.log.info('the export is shutting down');
        break;
      case 'closing': {
        const reason = failureError(notice.failure);
        if (reason.code === 'DST_E_FLUSH_LOST') this.#transactions.onFlushLost();
        if (FINAL_REFUSALS.has(reason.code)) this.#giveUp(reason);
        else this.#link.fail(reason);
        break;
      }
      case 'resized':
        this.#resize(notice.sizeBytes);
        break;
      case 'working':
        this.#transactions.onWorking(notice.transactions);
        this.#reviewSuspected();
        break;
    }
  }

  // ---- The end -------------------------------------------------------------------------

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
    this.#outageTimer?.cancel();
    this.#unwatch();
    this.#redialer.stop();
    this.#transactions.end(reason);
    const { resent, timedOut, corrupt, replayed } = this.counters;
    this.#options.log.info(
      { resent, reconnects: this.reconnects, timedOut, corrupt, replayed },
      'session ended',
    );
  }
}

function offeredBy(welcome: Welcome): ExportDescription {
  if (welcome.export === undefined) throw new Error('a WELCOME without an export was accepted');
  return welcome.export;
}

function outage(maxOutageMs: number): DstError {
  return new DstError(
    'DST_E_OUTAGE',
    `the export could not be reached for ${maxOutageMs / 1000} s, the longest outage allowed: check it and the network, then connect again`,
  );
}
