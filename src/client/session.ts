/**
 * The client's session with one export: drives the transaction engine over one link after
 * another. What was in flight on a link that dies goes out again on the next one.
 */
import { randomBytes } from 'node:crypto';
import { type Checksum, type ChecksumName, loadChecksum } from '../../wasm/checksums.js';
import type { Payload } from '../block/payload.js';
import type { Clock } from '../clock.js';
import { DstError, invariant } from '../errors.js';
import {
  REDIAL_DELAY_MAX_MS,
  REDIAL_DELAY_MIN_MS,
  RESEND_TIMEOUT_MS,
  RESENDS_MAX,
} from '../limits.js';
import type { Log } from '../log.js';
import { encodeRequest } from '../protocol/encode.js';
import { NO_CHECKSUM, NO_PIECES, type ReplyFrame, type RequestKind } from '../protocol/frame.js';
import { decodeMap } from '../protocol/header.js';
import { KIND } from '../protocol/kinds.js';
import {
  ERRNO_DAMAGED,
  failureError,
  type Notice,
  readFailure,
  SESSION_BYTES,
  type Welcome,
} from '../protocol/messages.js';
import type { Command, Transmit } from '../transaction/command.js';
import { type EngineCounters, TransactionEngine } from '../transaction/engine.js';
import { type Dial, Link } from './link.js';

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
  readonly clock?: Clock;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

/** A command of ours, with whoever waits for it. */
export interface PendingCommand extends Command {
  /** Of the payload, by the algorithm of that name; empty before it is first sent. */
  checksum: Buffer;
  checksumName: ChecksumName | undefined;
  resolve(reply: ReplyFrame): void;
  reject(error: Error): void;
}

const EPOCH_FIRST = 1;

/** Refusals that another attempt cannot change. */
const FINAL_REFUSALS = new Set<string>([
  'DST_E_EXPORT_UNKNOWN',
  'DST_E_VERSION',
  'DST_E_CHECKSUM_NONE',
  'DST_E_SESSION',
]);

export class RemoteSession {
  readonly #options: SessionOptions;
  readonly #id: Buffer;
  readonly #engine: TransactionEngine<PendingCommand>;
  #epoch = EPOCH_FIRST;
  #link: Link;
  #linkUp = false;
  #checksum: Checksum;
  #timer: NodeJS.Timeout | undefined;
  #redialDelayMs = REDIAL_DELAY_MIN_MS;
  #redialTimer: NodeJS.Timeout | undefined;
  #closed: DstError | undefined;
  #tellRefused: (reason: DstError) => void = () => {};
  reconnects = 0;
  /** Resolves when the export has refused the session for good: every command fails from then. */
  readonly refused = new Promise<DstError>((resolve) => {
    this.#tellRefused = resolve;
  });

  private constructor(options: SessionOptions, id: Buffer, link: Link, checksum: Checksum) {
    this.#options = options;
    this.#id = id;
    this.#link = link;
    this.#checksum = checksum;
    this.#engine = new TransactionEngine({
      resendTimeoutMs: options.resendTimeoutMs ?? RESEND_TIMEOUT_MS,
      maxResends: options.maxResends ?? RESENDS_MAX,
    });
    this.#adopt(link, checksum);
  }

  /** Connects for the first time; rejects with the reason where that fails. */
  static async open(options: SessionOptions): Promise<RemoteSession> {
    const id = randomBytes(SESSION_BYTES);
    const link = await openLink(options, id, EPOCH_FIRST);
    return new RemoteSession(options, id, link, await checksumOf(link));
  }

  /** What the export said of itself, last. */
  get welcome(): Welcome {
    return this.#link.welcome;
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
      this.#engine.submit(
        {
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
        },
        performance.now(),
      );
      this.#transmit();
      this.#armTimer();
    });
  }

  /** Measures one round trip, ms. */
  ping(): Promise<number> {
    return this.#link.ping();
  }

  /** Ends the session; commands that are not done reject. */
  close(): void {
    if (this.#closed !== undefined) return;
    this.#end(new DstError('DST_E_CLOSED', 'the device was closed', { errno: 'ESHUTDOWN' }));
  }

  // ---- Connecting ----------------------------------------------------------------------

  async #connect(): Promise<void> {
    const link = await openLink(this.#options, this.#id, ++this.#epoch);
    const checksum = await checksumOf(link);
    if (this.#closed === undefined) this.#adopt(link, checksum);
    else link.close('the device was closed');
  }

  /** Makes a welcomed link the one in use; what is unanswered goes out on it at once. */
  #adopt(link: Link, checksum: Checksum): void {
    this.#link = link;
    this.#checksum = checksum;
    this.#linkUp = true;
    this.#engine.handleConnected(link.welcome.credit, performance.now());
    link.start({
      onReply: (reply) => this.#onReply(reply),
      onNotice: (notice) => this.#onNotice(notice),
      onDown: (reason) => this.#onDown(link, reason),
    });
    this.#transmit();
  }

  #onDown(link: Link, reason: DstError): void {
    if (link !== this.#link || !this.#linkUp || this.#closed !== undefined) return;
    this.#linkUp = false;
    this.#options.log.warn(
      { code: reason.code, inFlight: this.#engine.inFlight, export: this.#options.exportName },
      `connection to the export lost, I/O waits: ${reason.message}`,
    );
    this.#engine.handleDisconnected(performance.now());
    this.#scheduleRedial();
  }

  #scheduleRedial(): void {
    const delayMs = this.#redialDelayMs * (0.5 + Math.random() / 2);
    this.#redialDelayMs = Math.min(this.#redialDelayMs * 2, REDIAL_DELAY_MAX_MS);
    this.#redialTimer = setTimeout(() => void this.#redial(), delayMs);
  }

  async #redial(): Promise<void> {
    try {
      await this.#connect();
      if (!this.#linkUp) return;
      this.reconnects++;
      this.#options.log.info(
        { epoch: this.#epoch, export: this.#options.exportName },
        'connected to the export again',
      );
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      if (this.#closed !== undefined) return;
      this.#options.log.debug({ code: error.code }, `redial: ${error.message}`);
      if (FINAL_REFUSALS.has(error.code)) {
        const reason = new DstError(error.code, error.message, { errno: 'EIO' });
        this.#end(reason);
        this.#tellRefused(reason);
      } else this.#scheduleRedial();
    }
  }

  #onNotice(notice: Notice): void {
    switch (notice.event) {
      case 'going away':
        this.#options.log.info('the export is shutting down');
        break;
      case 'closing':
        this.#link.fail(failureError(notice.failure));
        break;
      case 'resized':
        this.#options.log.info({ sizeBytes: notice.sizeBytes }, 'the export was resized');
        break;
    }
  }

  // ---- Transactions --------------------------------------------------------------------

  #transmit(): void {
    const nowMs = performance.now();
    for (;;) {
      const next = this.#engine.pollTransmit(nowMs);
      if (next === undefined) break;
      this.#link.send(next.slot, this.#encode(next));
    }
    this.#deliver();
  }

  #encode(transmit: Transmit<PendingCommand>): Buffer[] {
    const { command } = transmit;
    // Computed once: a buffer that changes between resends is then noticed by the export. An
    // export that came back may want another algorithm.
    if (command.payload !== undefined && command.checksumName !== this.#checksum.name) {
      command.checksumName = this.#checksum.name;
      command.checksum = this.#checksum.digest(command.payload.pieces);
    }
    return encodeRequest({
      kind: command.kind,
      transaction: transmit.transaction,
      flags: command.flags,
      retired: transmit.retired,
      offset: command.offset,
      lengthBytes: command.lengthBytes,
      checksum: command.checksum,
      payload: command.payload?.pieces ?? NO_PIECES,
    });
  }

  #onReply(reply: ReplyFrame): void {
    // Not at WELCOME: a link that dies right after it, again and again, would be redialled at
    // full speed, and use up every resend in seconds.
    this.#redialDelayMs = REDIAL_DELAY_MIN_MS;
    const intact = reply.payloadBytes === 0 || reply.kind === KIND.failed;
    if (!intact && !this.#checksum.matches(reply.payload, reply.checksum)) {
      this.#options.log.warn({ transaction: reply.transaction }, 'a reply failed its checksum');
      this.#engine.handleCorrupt(reply.transaction);
    } else if (reply.kind === KIND.failed && reply.errno === ERRNO_DAMAGED) {
      this.#options.log.warn({ transaction: reply.transaction }, 'a write failed its checksum');
      this.#engine.handleCorrupt(reply.transaction);
    } else {
      this.#engine.handleReply(reply);
    }
    this.#transmit();
  }

  #deliver(): void {
    for (;;) {
      const completion = this.#engine.pollCompletion();
      if (completion === undefined) return;
      const { command, reply, error } = completion;
      if (reply === undefined) {
        invariant(error !== undefined, 'a completion without reply or error');
        command.reject(error);
      } else if (reply.kind === KIND.failed) command.reject(deviceError(reply));
      else command.resolve(reply);
    }
  }

  /** One timer for the earliest deadline; deadlines only move later, so it may fire early. */
  #armTimer(): void {
    if (this.#timer !== undefined) return;
    const deadlineMs = this.#engine.nextTimeoutMs();
    if (deadlineMs === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#onTimer();
      },
      Math.max(1, deadlineMs - performance.now()),
    );
  }

  #onTimer(): void {
    const suspect = this.#engine.handleTimeout(performance.now());
    this.#deliver();
    if (suspect && this.#linkUp) {
      this.#link.fail(
        new DstError('DST_E_STALLED', 'a transaction went unanswered past the resend timeout'),
      );
    }
    this.#armTimer();
  }

  #end(reason: DstError): void {
    this.#closed = reason;
    this.#linkUp = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#redialTimer);
    this.#link.close(reason.message);
    this.#engine.failAll(reason);
    this.#deliver();
  }
}

function openLink(options: SessionOptions, session: Buffer, epoch: number): Promise<Link> {
  const { dial, exportName, checksums, readOnly } = options;
  return Link.open(dial, { intent: 'attach', exportName, session, epoch, checksums, readOnly });
}

/** The algorithm that a WELCOME chose: one of those that we offered. */
function checksumOf(link: Link): Promise<Checksum> {
  return loadChecksum(link.welcome.checksum as ChecksumName);
}

/** What the export's device said, as an error with its errno. */
function deviceError(reply: ReplyFrame): DstError {
  return failureError(readFailure(readWords(reply)), reply.errno);
}

/** The body of a failed reply; nothing where it is garbage, as the errno says enough. */
function readWords(reply: ReplyFrame): Record<string, unknown> {
  if (reply.payloadBytes === 0) return {};
  try {
    return decodeMap(Buffer.concat(reply.payload as Buffer[]));
  } catch (error) {
    if (!(error instanceof DstError)) throw error;
    return {};
  }
}
