/**
 * One welcomed connection to an export: the control stream with its pings and notices, and
 * the streams that carry transactions, by the slot numbers of the transaction engine.
 */
import type { Checksum, ChecksumName } from '../../wasm/checksums.js';
import { loadSessionChecksum } from '../access/session-checksum.js';
import type { Clock, Timer } from '../clock.js';
import { DstError, invariant } from '../errors.js';
import {
  BATCH_ROUND_TRIP_MS_MAX,
  CONTROL_BODY_BYTES_MAX,
  EARLY_NOTICES_MAX,
  LEAVE_TIMEOUT_MS,
  PINGS_UNANSWERED_MAX,
} from '../limits.js';
import { FrameDecoder } from '../protocol/decoder.js';
import { encodeControl } from '../protocol/encode.js';
import { type Frame, isControl, isReply, type ReplyFrame } from '../protocol/frame.js';
import { protocolError } from '../protocol/header.js';
import { KIND } from '../protocol/kinds.js';
import { type Notice, readNotice, type Welcome } from '../protocol/messages.js';
import type { CloseReason, Connection, Stream } from '../transport/transport.js';
import { Greeting, type LinkRequest } from './greeting.js';

export interface DialRequest {
  /** For the attempt as a whole, ms. */
  readonly timeoutMs: number;
  /** Aborted when the connection is not wanted any more: reject soon, and leave nothing open. */
  readonly signal: AbortSignal;
  /** Counts up from 0: an export with several addresses is tried at another one each time. */
  readonly attempt: number;
}

/** Makes one transport connection to the export; rejects with a `DstError`. */
export type Dial = (request: DialRequest) => Promise<Connection>;

export interface LinkOptions {
  readonly clock: Clock;
  readonly pingIntervalMs: number;
  /** From HELLO to WELCOME. */
  readonly timeoutMs: number;
  /** Aborted when the link is not wanted any more. */
  readonly signal?: AbortSignal;
}

export interface LinkHandlers {
  onReply(slot: number, reply: ReplyFrame): void;
  onNotice(notice: Notice): void;
  /** A ping went unanswered for its whole interval. */
  onSilence(): void;
  /** Something came after that. */
  onHeard(): void;
  /** A ping interval has passed in which something came. */
  onAlive(): void;
  /** Called once, when the link is of no more use. */
  onDown(reason: DstError): void;
}

/** A ping that somebody measures. */
interface AwaitedPong {
  readonly sequence: number;
  readonly sentMs: number;
  resolve(roundTripMs: number): void;
  reject(reason: DstError): void;
}

export class Link {
  readonly connection: Connection;
  readonly welcome: Welcome;
  readonly #options: LinkOptions;
  readonly #control: Stream;
  readonly #slots: (Stream | undefined)[] = [];
  #checksum: Checksum | undefined;
  #handlers: LinkHandlers | undefined;
  /** What came before somebody listened. */
  #early: Notice[] = [];
  #down: DstError | undefined;
  #pingTimer: Timer | undefined;
  #pingSequence = 0;
  #pingSentMs = 0;
  /** The shortest seen. */
  #roundTripMs = Number.POSITIVE_INFINITY;
  #unanswered = 0;
  #heard = true;
  #awaitedPongs: AwaitedPong[] = [];

  private constructor(
    connection: Connection,
    control: Stream,
    welcome: Welcome,
    options: LinkOptions,
  ) {
    this.connection = connection;
    this.welcome = welcome;
    this.#control = control;
    this.#options = options;
  }

  /**
   * Says HELLO on a new connection, proves the secret where there is one, and waits for
   * WELCOME. Rejects with the export's own refusal, as `Greeting` does, or with DST_E_TIMEOUT
   * or DST_E_CONNECTION_LOST; the connection is closed then.
   */
  static async greet(
    connection: Connection,
    request: LinkRequest,
    options: LinkOptions,
  ): Promise<Link> {
    const { clock, timeoutMs, signal } = options;
    let giveUp: (reason: DstError) => void = () => {};
    const abort = () => giveUp(lost({ message: 'it is not wanted any more' }));
    const timer = clock.after(timeoutMs, () => giveUp(noWelcome(timeoutMs)));
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const link = await new Promise<Link>((resolve, reject) => {
        giveUp = reject;
        if (signal?.aborted) abort();
        Link.#exchange(connection, request, options, resolve, reject);
      });
      link.#checksum = await loadSessionChecksum(
        // One of those that we offered, which is checked.
        link.welcome.checksum as ChecksumName,
        request.secret,
        request.session,
        request.exportName,
      );
      return link;
    } catch (error) {
      connection.close('the handshake failed');
      throw error;
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', abort);
    }
  }

  static #exchange(
    connection: Connection,
    request: LinkRequest,
    options: LinkOptions,
    resolve: (link: Link) => void,
    reject: (error: DstError) => void,
  ): void {
    const control = connection.openStream();
    const greeting = new Greeting(
      request,
      options.pingIntervalMs,
      connection.serverCertificateSha256,
    );
    let link: Link | undefined;
    let saidMs = 0;
    const decoder = new FrameDecoder(
      (header) => {
        if (header.payloadBytes > CONTROL_BODY_BYTES_MAX) throw protocolError('a long body');
      },
      (frame) => {
        if (link !== undefined) {
          link.#onControl(frame);
          return;
        }
        const step = greeting.take(frame);
        if ('send' in step) {
          saidMs = options.clock.nowMs();
          control.write([step.send]);
          return;
        }
        link = new Link(connection, control, step.welcome, options);
        link.#onRoundTrip(options.clock.nowMs() - saidMs);
        resolve(link);
      },
    );
    control.onData((chunk) => {
      try {
        decoder.push(chunk);
      } catch (error) {
        if (!(error instanceof DstError)) throw error;
        if (link === undefined) reject(error);
        else link.fail(error);
      }
    });
    connection.onClose((reason) => {
      if (link === undefined) reject(lost(reason));
      else link.#goDown(lost(reason));
    });
    saidMs = options.clock.nowMs();
    control.write([greeting.hello]);
  }

  /** Starts deliveries and pings. Call once. */
  start(handlers: LinkHandlers): void {
    invariant(this.#handlers === undefined, 'a link was started twice');
    this.#handlers = handlers;
    if (this.#down !== undefined) {
      handlers.onDown(this.#down);
      return;
    }
    this.#armPing();
    for (const notice of this.#early.splice(0)) handlers.onNotice(notice);
  }

  /** Of this link's payloads: keyed where there is a secret. */
  get checksum(): Checksum {
    invariant(this.#checksum !== undefined, 'a link is used before it was greeted');
    return this.#checksum;
  }

  /**
   * Whether small transactions should share streams: it halves what each costs, but on a long
   * path a lost packet would hold up all that come after it on its stream.
   */
  get batches(): boolean {
    return this.#roundTripMs <= BATCH_ROUND_TRIP_MS_MAX;
  }

  /** Nothing has been heard since a ping that is an interval old. */
  get silent(): boolean {
    return this.#unanswered > 0;
  }

  /** Has the transport ask for a sign of life now: after an outage it resumes the sooner. */
  probe(): void {
    if (this.#down === undefined) this.connection.keepAlive();
  }

  /** Sends a request's pieces on a slot's stream, which is opened at its first use. */
  send(slot: number, pieces: readonly Buffer[]): void {
    if (this.#down !== undefined) return;
    try {
      const stream = this.#slots[slot] ?? this.#openSlot(slot);
      stream.write(pieces);
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      this.fail(error);
    }
  }

  /** Measures one round trip over the control stream, ms. Rejects when the link goes down. */
  ping(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#down !== undefined) {
        reject(this.#down);
        return;
      }
      const sentMs = this.#options.clock.nowMs();
      this.#awaitedPongs.push({ sequence: this.#sendPing(), sentMs, resolve, reject });
    });
  }

  /** Ends the link because of an error; its handler hears of it. */
  fail(error: DstError): void {
    this.#goDown(error);
    this.connection.close(error.message);
  }

  /**
   * Tells the export that the session is over, and ends the link once that was heard, or after
   * LEAVE_TIMEOUT_MS: a transport that is closed at once may lose what was written last.
   */
  leave(): Promise<void> {
    this.#handlers = undefined;
    return new Promise((resolve) => {
      if (this.#down === undefined) this.#control.write([encodeControl(KIND.leave, 0)]);
      const timer = this.#options.clock.after(LEAVE_TIMEOUT_MS, () => this.close('left'));
      this.connection.onClose(() => {
        timer.cancel();
        this.close('left');
        resolve();
      });
    });
  }

  /** Ends the link; nobody hears of it. */
  close(reason: string): void {
    this.#handlers = undefined;
    this.#goDown(new DstError('DST_E_CONNECTION_LOST', reason));
    this.connection.close(reason);
  }

  #openSlot(slot: number): Stream {
    const stream = this.connection.openStream();
    this.#slots[slot] = stream;
    const decoder = new FrameDecoder(
      (header) => {
        if (header.payloadBytes > this.welcome.payloadBytesMax) {
          throw protocolError(`a payload of ${header.payloadBytes} bytes`);
        }
      },
      (frame) => {
        if (!isReply(frame)) throw protocolError('a frame that is no reply on a request stream');
        this.#handlers?.onReply(slot, frame);
      },
    );
    stream.onData((chunk) => {
      this.#hear();
      if (this.#down !== undefined) return;
      try {
        decoder.push(chunk);
      } catch (error) {
        if (!(error instanceof DstError)) throw error;
        this.fail(error);
      }
    });
    return stream;
  }

  #onControl(frame: Frame): void {
    if (this.#down !== undefined) return;
    this.#hear();
    if (!isControl(frame)) throw protocolError('a transaction on the control stream');
    if (frame.kind === KIND.pong) this.#onPong(frame.sequence);
    else if (frame.kind === KIND.notice) {
      const notice = readNotice(frame.body);
      if (notice === undefined) return;
      if (this.#handlers !== undefined) this.#handlers.onNotice(notice);
      else if (this.#early.push(notice) > EARLY_NOTICES_MAX) {
        throw protocolError('more notices than there can be news');
      }
    } else throw protocolError('a frame out of turn on the control stream');
  }

  #onPong(sequence: number): void {
    const nowMs = this.#options.clock.nowMs();
    const answered = this.#awaitedPongs.filter((pong) => pong.sequence <= sequence);
    this.#awaitedPongs = this.#awaitedPongs.filter((pong) => pong.sequence > sequence);
    for (const pong of answered) pong.resolve(nowMs - pong.sentMs);
    if (sequence === this.#pingSequence) this.#onRoundTrip(nowMs - this.#pingSentMs);
  }

  /** Anything that comes proves the peer alive as well as a pong does. */
  #hear(): void {
    this.#heard = true;
    if (!this.silent) return;
    this.#unanswered = 0;
    this.#handlers?.onHeard();
  }

  #onRoundTrip(roundTripMs: number): void {
    this.#roundTripMs = Math.min(this.#roundTripMs, roundTripMs);
  }

  #armPing(): void {
    this.#pingTimer = this.#options.clock.after(this.#options.pingIntervalMs, () => this.#tick());
  }

  #tick(): void {
    this.connection.keepAlive();
    if (this.#heard) this.#handlers?.onAlive();
    else this.#unanswered++;
    this.#heard = false;
    if (this.#unanswered >= PINGS_UNANSWERED_MAX) {
      const silentMs = this.#options.pingIntervalMs * PINGS_UNANSWERED_MAX;
      this.fail(
        new DstError('DST_E_PEER_SILENT', `the export was silent for ${silentMs / 1000} s`),
      );
      return;
    }
    this.#sendPing();
    this.#armPing();
    if (this.silent) this.#handlers?.onSilence();
  }

  #sendPing(): number {
    this.#pingSequence++;
    this.#pingSentMs = this.#options.clock.nowMs();
    this.#control.write([encodeControl(KIND.ping, this.#pingSequence)]);
    return this.#pingSequence;
  }

  #goDown(reason: DstError): void {
    if (this.#down !== undefined) return;
    this.#down = reason;
    this.#pingTimer?.cancel();
    for (const pong of this.#awaitedPongs.splice(0)) pong.reject(reason);
    this.#handlers?.onDown(reason);
  }
}

function lost(reason: CloseReason): DstError {
  return new DstError('DST_E_CONNECTION_LOST', `the connection was lost: ${reason.message}`);
}

function noWelcome(timeoutMs: number): DstError {
  return new DstError(
    'DST_E_TIMEOUT',
    `the export did not answer within ${timeoutMs / 1000} s; is it overloaded or of another version?`,
  );
}
