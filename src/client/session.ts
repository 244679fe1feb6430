/**
 * The client's session with one export: drives the transaction engine over one link after
 * another. A link that is suspected stays in use while another is dialled, and whichever
 * answers first is kept; what was in flight on one that is given up goes out again.
 */
import { type Checksum, type ChecksumName, loadChecksum } from '../../wasm/checksums.js';
import type { Payload } from '../block/payload.js';
import { type Clock, systemClock, type Timer } from '../clock.js';
import { DstError } from '../errors.js';
import {
  CONNECT_TIMEOUT_MS,
  PING_INTERVAL_MS,
  REPLAY_BUFFER_BYTES,
  RESEND_TIMEOUT_MS,
  RESENDS_MAX,
  SUSPECT_AFTER_MIN_MS,
} from '../limits.js';
import type { Log } from '../log.js';
import { NO_CHECKSUM, type ReplyFrame, type RequestKind } from '../protocol/frame.js';
import { KIND } from '../protocol/kinds.js';
import {
  type ExportDescription,
  failureError,
  type Notice,
  type Welcome,
} from '../protocol/messages.js';
import { type EngineCounters, TransactionEngine } from '../transaction/engine.js';
import { deviceError, encodeCommand, isDamaged, type PendingCommand } from './commands.js';
import { Connector } from './connector.js';
import type { Dial, Link } from './link.js';
import { Redialer } from './redialer.js';
import type { SessionIdentity } from './session-identity.js';
import { StateLog } from './state-log.js';

export interface SessionOptions {
  readonly dial: Dial;
  readonly exportName: string;
  /** Checksums to accept; the export's order decides among them. */
  readonly checksums: readonly ChecksumName[];
  readonly readOnly: boolean;
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
  /** Calls back whenever the way to the export may be another one; returns how to stop. */
  readonly watchPath?: (changed: () => void) => () => void;
  /** To be kept by whoever tries more than once to open the session. */
  readonly identity?: SessionIdentity;
  readonly clock?: Clock;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

/** Refusals that another attempt cannot change. */
const FINAL_REFUSALS = new Set<string>([
  'DST_E_EXPORT_UNKNOWN',
  'DST_E_VERSION',
  'DST_E_CHECKSUM_NONE',
  'DST_E_SESSION',
  'DST_E_TAKEN_OVER',
]);

/** How an attempt ends that gave way to another of ours. */
const OWN_DOING = new Set<string>(['DST_E_ABORTED', 'DST_E_FENCED', 'DST_E_EPOCH']);

export class RemoteSession {
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #connector: Connector;
  readonly #redialer: Redialer;
  readonly #engine: TransactionEngine<PendingCommand>;
  readonly #states: StateLog;
  readonly #unwatch: () => void;
  #link: Link;
  #linkUp = false;
  #downSinceMs = 0;
  #checksum: Checksum;
  #offered: ExportDescription;
  /** The longest payload of one transaction; commands are split by it. */
  readonly payloadBytesMax: number;
  readonly #replayBufferBytes: number;
  #verifier: Buffer;
  #suspected = false;
  #pathChanged = false;
  #timer: Timer | undefined;
  #outageTimer: Timer | undefined;
  #closed: DstError | undefined;
  #tellRefused: (reason: DstError) => void = () => {};
  reconnects = 0;
  /** Resolves when the session has ended for good by itself: every command fails from then. */
  readonly refused = new Promise<DstError>((resolve) => {
    this.#tellRefused = resolve;
  });

  private constructor(options: SessionOptions, connector: Connector, link: Link, sum: Checksum) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#connector = connector;
    this.#states = new StateLog(options.log, options.exportName);
    this.#checksum = sum;
    this.#link = link;
    this.#offered = offeredBy(link.welcome);
    this.#verifier = link.welcome.verifier;
    this.payloadBytesMax = link.welcome.payloadBytesMax;
    // Where nothing can be flushed, there is nothing that a flush would cover.
    this.#replayBufferBytes = this.#offered.capabilities.includes('flush')
      ? (options.replayBufferBytes ?? REPLAY_BUFFER_BYTES)
      : 0;
    this.#engine = new TransactionEngine({
      resendTimeoutMs: options.resendTimeoutMs ?? RESEND_TIMEOUT_MS,
      maxResends: options.maxResends ?? RESENDS_MAX,
      replayBufferBytes: this.#replayBufferBytes,
      own: (command) => ({
        ...command,
        checksum: NO_CHECKSUM,
        checksumName: undefined,
        resolve() {},
        reject: (error) => this.#states.ownFailed(error),
      }),
    });
    this.#redialer = new Redialer({
      clock: this.#clock,
      random: options.random ?? Math.random,
      urgent: () => this.#engine.unfinished > 0 || this.#engine.replaying,
      attempt: (request) => this.#attempt(request),
    });
    this.#unwatch = options.watchPath?.(() => this.#onPathChanged()) ?? (() => {});
    this.#adopt(link, sum);
  }

  /** Connects for the first time; rejects with the reason where that fails. */
  static async open(options: SessionOptions): Promise<RemoteSession> {
    const connector = new Connector({
      ...options,
      clock: options.clock ?? systemClock,
      pingIntervalMs: options.pingIntervalMs ?? PING_INTERVAL_MS,
    });
    const { signal } = new AbortController();
    const link = await connector.open({ timeoutMs: CONNECT_TIMEOUT_MS, signal, attempt: 0 });
    return new RemoteSession(options, connector, link, await checksumOf(link));
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
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) {
        reject(this.#closed);
        return;
      }
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
      this.#engine.submit(command, this.#clock.nowMs());
      this.#transmit();
      this.#armTimer();
      if (this.#redialer.running) this.#redialer.hurry();
    });
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
    try {
      if (this.#linkUp) this.#link.probe();
      const link = await this.#connector.open(request);
      const checksum = await checksumOf(link);
      // A later HELLO has fenced it, or is about to.
      const outdated = link.welcome.epoch !== this.#connector.epoch;
      if (this.#closed !== undefined) await link.leave();
      else if (outdated) link.close('a newer connection has taken over');
      else this.#readopt(link, checksum);
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      if (this.#closed !== undefined) return;
      // While a link works, another address of the export's name may be somebody else's.
      const final = this.#linkUp
        ? 'DST_E_TAKEN_OVER' === error.code
        : FINAL_REFUSALS.has(error.code);
      if (final) this.#giveUp(error);
      else if (!this.#linkUp && !OWN_DOING.has(error.code)) this.#states.failed(error);
    }
  }

  #readopt(link: Link, checksum: Checksum): void {
    this.reconnects++;
    const old = this.#link;
    const outageMs = this.#linkUp ? 0 : this.#clock.nowMs() - this.#downSinceMs;
    this.#linkUp = false;
    old.close('a newer connection has taken over');
    this.#states.up({ epoch: link.welcome.epoch, outageMs: Math.round(outageMs) });
    this.#adopt(link, checksum);
  }

  /** Makes a welcomed link the one in use; what is unanswered goes out on it at once. */
  #adopt(link: Link, checksum: Checksum): void {
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
    this.#checksum = checksum;
    this.#linkUp = true;
    this.#suspected = false;
    this.#pathChanged = false;
    this.#resize(offeredBy(welcome).sizeBytes);
    const cacheLost = !welcome.verifier.equals(this.#verifier);
    this.#verifier = welcome.verifier;
    if (cacheLost && !this.#options.readOnly)
      this.#states.cacheLost(this.#engine.unflushedBytes, this.#replayBufferBytes > 0);
    this.#engine.handleConnected(welcome.credit, cacheLost, this.#clock.nowMs());
    link.start({
      onReply: (slot, reply) => this.#onReply(slot, reply),
      onNotice: (notice) => this.#onNotice(notice),
      onSilence: () => this.#review(),
      onHeard: () => this.#review(),
      onAlive: () => this.#onUse(),
      onDown: (reason) => this.#onDown(link, reason),
    });
    this.#transmit();
    this.#armTimer();
  }

  #onDown(link: Link, reason: DstError): void {
    if (link !== this.#link || !this.#linkUp || this.#closed !== undefined) return;
    this.#linkUp = false;
    this.#downSinceMs = this.#clock.nowMs();
    // Fenced means by our own newer HELLO, whose WELCOME is on its way: no outage.
    if (!OWN_DOING.has(reason.code)) this.#states.down(reason, this.#engine.unfinished);
    this.#engine.handleDisconnected(this.#downSinceMs);
    this.#startOutage();
    this.#armTimer();
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

  /** The link has answered something. */
  #onUse(): void {
    this.#redialer.succeeded();
    this.#outageTimer?.cancel();
    this.#outageTimer = undefined;
  }

  #onPathChanged(): void {
    if (this.#closed !== undefined) return;
    this.#pathChanged = true;
    this.#redialer.hurry();
    this.#review();
  }

  /** Dials beside the link while that is suspect, and stops when it no longer is. */
  #review(): void {
    if (!this.#linkUp) return;
    const overdue = this.#engine.overdue(this.#clock.nowMs());
    const suspected = overdue || this.#link.silent || this.#pathChanged;
    if (suspected && !this.#suspected) {
      this.#states.suspected(this.#pathChanged ? 'path' : overdue ? 'transaction' : 'ping');
      this.#redialer.start();
    } else if (!suspected && this.#suspected) {
      this.#states.recovered();
      this.#redialer.stop();
    }
    this.#suspected = suspected;
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
        if (reason.code === 'DST_E_FLUSH_LOST') this.#engine.handleFlushLost();
        if (FINAL_REFUSALS.has(reason.code)) this.#giveUp(reason);
        else this.#link.fail(reason);
        break;
      }
      case 'resized':
        this.#resize(notice.sizeBytes);
        break;
      case 'working':
        this.#engine.handleWorking(notice.transactions, this.#clock.nowMs());
        if (this.#suspected) this.#review();
        break;
    }
  }

  // ---- Transactions --------------------------------------------------------------------

  #transmit(): void {
    const nowMs = this.#clock.nowMs();
    for (;;) {
      const next = this.#engine.pollTransmit(nowMs);
      if (next === undefined) break;
      this.#link.send(next.slot, encodeCommand(next, this.#checksum));
    }
    this.#deliver();
    if (this.#engine.mustReconnect) {
      this.#link.fail(
        new DstError('DST_E_STALLED', 'what this connection carried, or acked, is in doubt'),
      );
    }
  }

  #onReply(slot: number, reply: ReplyFrame): void {
    const intact = reply.payloadBytes === 0 || reply.kind === KIND.failed;
    try {
      if (!intact && !this.#checksum.matches(reply.payload, reply.checksum)) {
        this.#options.log.warn({ transaction: reply.transaction }, 'a reply failed its checksum');
        this.#engine.handleCorrupt(slot, reply.transaction);
      } else if (isDamaged(reply)) {
        this.#options.log.warn({ transaction: reply.transaction }, 'a write failed its checksum');
        this.#engine.handleCorrupt(slot, reply.transaction);
      } else {
        this.#engine.handleReply(slot, reply, this.#clock.nowMs());
      }
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      this.#link.fail(error);
      return;
    }
    this.#onUse();
    this.#transmit();
    if (this.#suspected) this.#review();
  }

  #deliver(): void {
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
      this.#review();
      this.#armTimer();
    });
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
    this.#timer?.cancel();
    this.#outageTimer?.cancel();
    this.#unwatch();
    this.#redialer.stop();
    this.#engine.failAll(reason);
    this.#deliver();
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

/** The algorithm that a WELCOME chose: one of those that we offered. */
function checksumOf(link: Link): Promise<Checksum> {
  return loadChecksum(link.welcome.checksum as ChecksumName);
}

function outage(maxOutageMs: number): DstError {
  return new DstError(
    'DST_E_OUTAGE',
    `the export could not be reached for ${maxOutageMs / 1000} s, the longest outage allowed: check it and the network, then connect again`,
  );
}
