/**
 * One welcomed connection to an export: the control stream with its pings and notices, and the
 * streams that carry transactions. A link is made of one or several.
 */
import type { Clock, Timer } from '../clock.js';
import { DstError, invariant } from '../errors.js';
import { EARLY_NOTICES_MAX, LEAVE_TIMEOUT_MS, PINGS_UNANSWERED_MAX } from '../limits.js';
import { FrameDecoder } from '../protocol/decoder.js';
import { encodeControl } from '../protocol/encode.js';
import { type Frame, isControl, isReply, type ReplyFrame } from '../protocol/frame.js';
import { protocolError } from '../protocol/header.js';
import { KIND } from '../protocol/kinds.js';
import { type Notice, readNotice, type Welcome } from '../protocol/messages.js';
import type { CloseReason, Connection, Stream } from '../transport/transport.js';

export interface LaneOptions {
  readonly connection: Connection;
  readonly control: Stream;
  readonly welcome: Welcome;
  /** As it said in HELLO. */
  readonly number: number;
  /** From what was said last to WELCOME, ms. */
  readonly roundTripMs: number;
  readonly clock: Clock;
  readonly pingIntervalMs: number;
}

export interface LaneHandlers {
  onReply(slot: number, reply: ReplyFrame): void;
  onNotice(notice: Notice): void;
  /** A ping went unanswered for its whole interval. */
  onSilence(): void;
  /** Something came after that. */
  onHeard(): void;
  /** A ping interval has passed in which something came. */
  onAlive(): void;
  /** Called once, when it is of no more use. */
  onDown(reason: DstError): void;
}

/** What goes out on one slot together. */
export interface Load {
  /** Requests, and so answers to come. */
  transactions: number;
  /** Of payload, theirs and that of their answers. */
  bytes: number;
}

/** A stream that carries requests, and the slot that it has until all of those are answered. */
interface RequestStream {
  readonly stream: Stream;
  slot: number;
  unanswered: number;
  bytes: number;
}

/** A ping that somebody measures. */
interface AwaitedPong {
  readonly sequence: number;
  readonly sentMs: number;
  resolve(roundTripMs: number): void;
  reject(reason: DstError): void;
}

export class Lane {
  readonly connection: Connection;
  readonly welcome: Welcome;
  readonly number: number;
  readonly #options: LaneOptions;
  readonly #control: Stream;
  /** Streams on which nothing is unanswered. */
  readonly #idle: RequestStream[] = [];
  #inFlight = 0;
  #inFlightBytes = 0;
  #handlers: LaneHandlers | undefined;
  /** What came before somebody listened. */
  #early: Notice[] = [];
  #down: DstError | undefined;
  #pingTimer: Timer | undefined;
  #pingSequence = 0;
  #pingSentMs = 0;
  #roundTripMs: number;
  #unanswered = 0;
  #heard = true;
  #awaitedPongs: AwaitedPong[] = [];

  /** Of a connection on which WELCOME has come; `onControl` is to be given what follows. */
  constructor(options: LaneOptions) {
    this.connection = options.connection;
    this.welcome = options.welcome;
    this.number = options.number;
    this.#options = options;
    this.#control = options.control;
    this.#roundTripMs = options.roundTripMs;
    this.connection.onClose((reason) => this.#goDown(lost(reason)));
  }

  /** Starts deliveries and pings. Call once. */
  start(handlers: LaneHandlers): void {
    invariant(this.#handlers === undefined, 'a lane was started twice');
    this.#handlers = handlers;
    if (this.#down !== undefined) {
      handlers.onDown(this.#down);
      return;
    }
    this.#armPing();
    for (const notice of this.#early.splice(0)) handlers.onNotice(notice);
  }

  /** Why it is of no more use; undefined while it is. */
  get down(): DstError | undefined {
    return this.#down;
  }

  /** Nothing has been heard since a ping that is an interval old. */
  get silent(): boolean {
    return this.#unanswered > 0;
  }

  /** The shortest seen, ms. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** Requests that are not answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Their payload, and that of the answers. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** Has the transport ask for a sign of life now: after an outage it resumes the sooner. */
  probe(): void {
    if (this.#down === undefined) this.connection.keepAlive();
  }

  /**
   * Sends the requests of a slot on a stream of their own, which is opened where none is free.
   * The slot may be sent on again, here or on another lane, once all of them are answered.
   */
  send(slot: number, pieces: readonly Buffer[], load: Load): void {
    if (this.#down !== undefined) return;
    try {
      const carrier = this.#idle.pop() ?? this.#openStream();
      carrier.slot = slot;
      carrier.unanswered = load.transactions;
      carrier.bytes = load.bytes;
      this.#inFlight += load.transactions;
      this.#inFlightBytes += load.bytes;
      carrier.stream.write(pieces);
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      this.fail(error);
    }
  }

  /** Measures one round trip over the control stream, ms. Rejects when the lane goes down. */
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

  /** Ends the lane because of an error; its handler hears of it. */
  fail(error: DstError): void {
    this.#goDown(error);
    this.connection.close(error.message);
  }

  /**
   * Ends the lane once the export has ended it, or after LEAVE_TIMEOUT_MS; with `tells`, this is
   * the one that tells it that the session is over. A transport that is closed at once may lose
   * what was written last, and HTTP/2 of Node 20 that is closed by both ends at once may go round
   * in circles for ever.
   */
  leave(tells: boolean): Promise<void> {
    this.#handlers = undefined;
    return new Promise((resolve) => {
      if (tells && this.#down === undefined) this.#control.write([encodeControl(KIND.leave, 0)]);
      const timer = this.#options.clock.after(LEAVE_TIMEOUT_MS, () => this.close('left'));
      this.connection.onClose(() => {
        timer.cancel();
        this.close('left');
        resolve();
      });
    });
  }

  /** Ends the lane; nobody hears of it. */
  close(reason: string): void {
    this.#handlers = undefined;
    this.#goDown(new DstError('DST_E_CONNECTION_LOST', reason));
    this.connection.close(reason);
  }

  /** Takes a frame that came on the control stream. Throws DST_E_PROTOCOL. */
  onControl(frame: Frame): void {
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

  #openStream(): RequestStream {
    const stream = this.connection.openStream();
    const carrier: RequestStream = { stream, slot: -1, unanswered: 0, bytes: 0 };
    const decoder = new FrameDecoder(
      (header) => {
        if (header.payloadBytes > this.welcome.payloadBytesMax) {
          throw protocolError(`a payload of ${header.payloadBytes} bytes`);
        }
      },
      (frame) => {
        if (!isReply(frame)) throw protocolError('a frame that is no reply on a request stream');
        this.#onReply(carrier, frame);
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
    return carrier;
  }

  #onReply(carrier: RequestStream, reply: ReplyFrame): void {
    if (carrier.unanswered === 0) throw protocolError('an answer that nothing asked for');
    carrier.unanswered--;
    this.#inFlight--;
    if (carrier.unanswered === 0) {
      this.#inFlightBytes -= carrier.bytes;
      this.#idle.push(carrier);
    }
    this.#handlers?.onReply(carrier.slot, reply);
  }

  #onPong(sequence: number): void {
    const nowMs = this.#options.clock.nowMs();
    const answered = this.#awaitedPongs.filter((pong) => pong.sequence <= sequence);
    this.#awaitedPongs = this.#awaitedPongs.filter((pong) => pong.sequence > sequence);
    for (const pong of answered) pong.resolve(nowMs - pong.sentMs);
    if (sequence !== this.#pingSequence) return;
    this.#roundTripMs = Math.min(this.#roundTripMs, nowMs - this.#pingSentMs);
  }

  /** Anything that comes proves the peer alive as well as a pong does. */
  #hear(): void {
    this.#heard = true;
    if (!this.silent) return;
    this.#unanswered = 0;
    this.#handlers?.onHeard();
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

/** What a connection that has ended fails with. */
export function lost(reason: CloseReason): DstError {
  return new DstError('DST_E_CONNECTION_LOST', `the connection was lost: ${reason.message}`);
}
