/**
 * One welcomed connection to an export: the control stream with its pings and notices, and
 * the streams that carry transactions, by the slot numbers of the transaction engine.
 */
import { randomBytes } from 'node:crypto';
import { DstError, invariant } from '../errors.js';
import {
  CONNECT_TIMEOUT_MS,
  CONTROL_BODY_BYTES_MAX,
  PING_INTERVAL_MS,
  PINGS_UNANSWERED_MAX,
} from '../limits.js';
import { FrameDecoder } from '../protocol/decoder.js';
import { encodeControl } from '../protocol/encode.js';
import { type Frame, isControl, isReply, type ReplyFrame } from '../protocol/frame.js';
import { protocolError } from '../protocol/header.js';
import { KIND, PROTOCOL_VERSION } from '../protocol/kinds.js';
import {
  failureError,
  type Hello,
  helloBody,
  type Intent,
  NONCE_BYTES,
  type Notice,
  readFailure,
  readNotice,
  readWelcome,
  type Welcome,
} from '../protocol/messages.js';
import type { CloseReason, Connection, Stream } from '../transport/transport.js';
import { AGENT } from '../version.js';

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

export interface LinkRequest {
  readonly intent: Intent;
  readonly exportName: string;
  readonly session: Buffer;
  readonly epoch: number;
  readonly checksums: readonly string[];
  readonly readOnly: boolean;
}

export interface LinkHandlers {
  onReply(reply: ReplyFrame): void;
  onNotice(notice: Notice): void;
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
  readonly #control: Stream;
  readonly #slots: (Stream | undefined)[] = [];
  #handlers: LinkHandlers | undefined;
  #down: DstError | undefined;
  #pingTimer: NodeJS.Timeout | undefined;
  #pingSequence = 0;
  #unanswered = 0;
  #heard = true;
  #awaitedPongs: AwaitedPong[] = [];

  private constructor(connection: Connection, control: Stream, welcome: Welcome) {
    this.connection = connection;
    this.welcome = welcome;
    this.#control = control;
  }

  /**
   * Dials, says HELLO and waits for WELCOME. Rejects with the export's own refusal, with
   * DST_E_TIMEOUT past CONNECT_TIMEOUT_MS, or with what the dial rejected with.
   */
  static async open(dial: Dial, request: LinkRequest): Promise<Link> {
    const connection = await dial({
      timeoutMs: CONNECT_TIMEOUT_MS,
      signal: new AbortController().signal,
      attempt: 0,
    });
    try {
      return await Link.#greet(connection, request);
    } catch (error) {
      connection.close('the handshake failed');
      throw error;
    }
  }

  static #greet(connection: Connection, request: LinkRequest): Promise<Link> {
    return new Promise((resolve, reject) => {
      const control = connection.openStream();
      let link: Link | undefined;
      const timer = setTimeout(() => reject(noWelcome()), CONNECT_TIMEOUT_MS);
      const decoder = new FrameDecoder(
        (header) => {
          if (header.payloadBytes > CONTROL_BODY_BYTES_MAX) throw protocolError('a long body');
        },
        (frame) => {
          if (link !== undefined) {
            link.#onControl(frame);
            return;
          }
          const welcome = Link.#readAnswer(frame, request);
          clearTimeout(timer);
          link = new Link(connection, control, welcome);
          resolve(link);
        },
      );
      control.onData((chunk) => {
        try {
          decoder.push(chunk);
        } catch (error) {
          if (!(error instanceof DstError)) throw error;
          clearTimeout(timer);
          if (link === undefined) reject(error);
          else link.fail(error);
        }
      });
      connection.onClose((reason) => {
        clearTimeout(timer);
        if (link === undefined) reject(lost(reason));
        else link.#goDown(lost(reason));
      });
      control.write([encodeControl(KIND.hello, 0, helloBody(helloOf(request)))]);
    });
  }

  /** The WELCOME that answers our HELLO. Throws the refusal, or DST_E_PROTOCOL. */
  static #readAnswer(frame: Frame, request: LinkRequest): Welcome {
    if (!isControl(frame)) throw protocolError('a transaction before WELCOME');
    if (frame.kind === KIND.refused) throw failureError(readFailure(frame.body));
    if (frame.kind !== KIND.welcome) throw protocolError('no WELCOME');
    const welcome = readWelcome(frame.body);
    const ours = welcome.session.equals(request.session) && welcome.epoch === request.epoch;
    if (!ours) throw protocolError('a WELCOME for another session');
    if (!request.checksums.includes(welcome.checksum)) {
      throw protocolError(`the checksum "${welcome.checksum}", which was not offered`);
    }
    if (request.intent !== 'list' && welcome.export === undefined) {
      throw protocolError('a WELCOME without an export');
    }
    return welcome;
  }

  /** Starts deliveries and pings. Call once. */
  start(handlers: LinkHandlers): void {
    invariant(this.#handlers === undefined, 'a link was started twice');
    this.#handlers = handlers;
    if (this.#down !== undefined) {
      handlers.onDown(this.#down);
      return;
    }
    this.#pingTimer = setInterval(() => this.#tick(), PING_INTERVAL_MS);
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
      const sentMs = performance.now();
      this.#awaitedPongs.push({ sequence: this.#sendPing(), sentMs, resolve, reject });
    });
  }

  /** Ends the link because of an error; its handler hears of it. */
  fail(error: DstError): void {
    this.#goDown(error);
    this.connection.close(error.message);
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
        this.#handlers?.onReply(frame);
      },
    );
    stream.onData((chunk) => {
      this.#heard = true;
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
    this.#heard = true;
    if (!isControl(frame)) throw protocolError('a transaction on the control stream');
    if (frame.kind === KIND.pong) this.#onPong(frame.sequence);
    else if (frame.kind === KIND.notice) {
      const notice = readNotice(frame.body);
      if (notice !== undefined) this.#handlers?.onNotice(notice);
    } else throw protocolError('a frame out of turn on the control stream');
  }

  #onPong(sequence: number): void {
    if (sequence === this.#pingSequence) this.#unanswered = 0;
    const nowMs = performance.now();
    const answered = this.#awaitedPongs.filter((pong) => pong.sequence <= sequence);
    this.#awaitedPongs = this.#awaitedPongs.filter((pong) => pong.sequence > sequence);
    for (const pong of answered) pong.resolve(nowMs - pong.sentMs);
  }

  /** Anything heard since the last tick proves the peer alive as well as a pong does. */
  #tick(): void {
    this.connection.keepAlive();
    if (this.#heard) {
      this.#heard = false;
      this.#unanswered = 0;
      this.#sendPing();
      return;
    }
    this.#unanswered++;
    if (this.#unanswered < PINGS_UNANSWERED_MAX) {
      this.#sendPing();
      return;
    }
    this.fail(
      new DstError(
        'DST_E_PEER_SILENT',
        `the export was silent for ${(PING_INTERVAL_MS * PINGS_UNANSWERED_MAX) / 1000} s`,
      ),
    );
  }

  #sendPing(): number {
    this.#pingSequence++;
    this.#control.write([encodeControl(KIND.ping, this.#pingSequence)]);
    return this.#pingSequence;
  }

  #goDown(reason: DstError): void {
    if (this.#down !== undefined) return;
    this.#down = reason;
    clearInterval(this.#pingTimer);
    for (const pong of this.#awaitedPongs.splice(0)) pong.reject(reason);
    this.#handlers?.onDown(reason);
  }
}

function helloOf(request: LinkRequest): Hello {
  return {
    version: PROTOCOL_VERSION,
    intent: request.intent,
    export: request.exportName,
    session: request.session,
    epoch: request.epoch,
    nonce: randomBytes(NONCE_BYTES),
    checksums: request.checksums,
    readOnly: request.readOnly,
    agent: AGENT,
  };
}

function lost(reason: CloseReason): DstError {
  return new DstError('DST_E_CONNECTION_LOST', `the connection was lost: ${reason.message}`);
}

function noWelcome(): DstError {
  return new DstError(
    'DST_E_TIMEOUT',
    `the export did not answer within ${CONNECT_TIMEOUT_MS / 1000} s; is it overloaded or of another version?`,
  );
}
