/**
 * One connection as the export sees it: HELLO, then WELCOME or REFUSED on the control
 * stream, then request streams until it ends. What a stranger can make it hold before
 * WELCOME is one control frame of bounded size, for a bounded time.
 */
import type { Checksum } from '../../wasm/checksums.js';
import type { Clock, Timer } from '../clock.js';
import { DstError } from '../errors.js';
import {
  CONTROL_BODY_BYTES_MAX,
  CREDIT_BYTES,
  CREDIT_TRANSACTIONS,
  FRAME_PAYLOAD_BYTES_MAX,
  HELLO_BODY_BYTES_MAX,
  HELLO_TIMEOUT_MS,
  REFUSAL_LINGER_MS,
} from '../limits.js';
import type { Log } from '../log.js';
import { FrameDecoder } from '../protocol/decoder.js';
import { encodeControl } from '../protocol/encode.js';
import { type ControlFrame, type Frame, isControl, type RequestFrame } from '../protocol/frame.js';
import { protocolError } from '../protocol/header.js';
import { KIND } from '../protocol/kinds.js';
import {
  type Failure,
  failureBody,
  type Hello,
  type Notice,
  noticeBody,
  readHello,
  type Welcome,
  welcomeBody,
} from '../protocol/messages.js';
import type { Connection, Stream } from '../transport/transport.js';
import type { Answer } from './executor.js';
import { type RequestHost, RequestStream } from './request-stream.js';
import type { ExportSession } from './session.js';

/** What a peer was admitted to; `session` is absent where it only asked. */
export interface Admission {
  readonly welcome: Welcome;
  readonly checksum: Checksum;
  readonly session: ExportSession | undefined;
}

/** The server's side of the handshake. */
export interface PeerHost {
  readonly log: Log;
  readonly clock: Clock;
  readonly draining: boolean;
  /** Decides on a HELLO; rejects with the `DstError` to refuse it with. */
  admit(peer: Peer, hello: Hello): Promise<Admission>;
  /** The connection has ended. */
  gone(peer: Peer): void;
}

export class Peer implements RequestHost {
  readonly connection: Connection;
  readonly #host: PeerHost;
  #control: Stream | undefined;
  #decoder: FrameDecoder | undefined;
  #state: 'new' | 'deciding' | 'welcomed' | 'ended' = 'new';
  #admission: Admission | undefined;
  #epoch = 0;
  #inFlight = 0;
  #inFlightBytes = 0;
  #timer: Timer | undefined;
  readonly payloadBytesMax = FRAME_PAYLOAD_BYTES_MAX;

  constructor(connection: Connection, host: PeerHost) {
    this.connection = connection;
    this.#host = host;
    this.#timer = host.clock.after(HELLO_TIMEOUT_MS, () => connection.close('no HELLO came'));
    connection.onClose(() => this.#onClose());
    connection.onStream((stream) => this.#onStream(stream));
  }

  get session(): ExportSession | undefined {
    return this.#admission?.session;
  }

  get checksum(): Checksum {
    if (this.#admission === undefined) throw new Error('a request before WELCOME');
    return this.#admission.checksum;
  }

  notify(notice: Notice): void {
    if (this.#state === 'welcomed') this.#send(KIND.notice, 0, noticeBody(notice));
  }

  /** Ends the connection after saying why. */
  dismiss(failure: Failure): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'welcomed') this.notify({ event: 'closing', failure });
    else this.#send(KIND.refused, 0, failureBody(failure));
    this.#state = 'ended';
    // Closing at once could overtake the frame that says why.
    this.#timer?.cancel();
    this.#timer = this.#host.clock.after(REFUSAL_LINGER_MS, () =>
      this.connection.close(failure.message),
    );
  }

  // ---- RequestHost ---------------------------------------------------------------------

  reserve(payloadBytes: number): void {
    const alone = this.#inFlight === 0;
    this.#inFlight++;
    this.#inFlightBytes += payloadBytes;
    const tooMany = this.#inFlight > CREDIT_TRANSACTIONS;
    if (tooMany || (!alone && this.#inFlightBytes > CREDIT_BYTES)) {
      throw new DstError(
        'DST_E_LIMIT',
        `${this.#inFlight} transactions with ${this.#inFlightBytes} bytes in flight are more than the credit`,
      );
    }
  }

  unreserve(payloadBytes: number): void {
    this.#inFlight--;
    this.#inFlightBytes -= payloadBytes;
  }

  run(request: RequestFrame): Promise<Answer> | undefined {
    const session = this.session;
    // Unanswered on purpose: the client sends it again to whoever comes after this process.
    if (this.#host.draining || session === undefined || this.#state !== 'welcomed') return;
    return session.run(this.#epoch, request, this.checksum);
  }

  breach(error: DstError): void {
    if (this.#state === 'ended') return;
    const fenced = error.code === 'DST_E_FENCED' || error.code === 'DST_E_RETIRED';
    const details = { peer: this.connection.peer, code: error.code };
    if (fenced) this.#host.log.debug(details, error.message);
    else this.#host.log.warn(details, `connection closed: ${error.message}`);
    this.dismiss(error);
  }

  // ---- The control stream --------------------------------------------------------------

  #onStream(stream: Stream): void {
    if (this.#control === undefined) {
      this.#control = stream;
      this.#decoder = new FrameDecoder(
        (header) => this.#checkControl(header.kind, header.payloadBytes),
        (frame) => this.#onFrame(frame),
      );
      stream.onData((chunk) => this.#onControlData(chunk));
    } else if (this.#state === 'welcomed' && this.session !== undefined) {
      new RequestStream(stream, this);
    } else {
      this.breach(protocolError('a second stream before WELCOME'));
    }
  }

  #onControlData(chunk: Buffer): void {
    if (this.#state === 'ended') return;
    try {
      this.#decoder?.push(chunk);
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      this.breach(error);
    }
  }

  #checkControl(kind: number, bodyBytes: number): void {
    const welcomed = this.#state === 'welcomed';
    const allowed = welcomed ? kind === KIND.ping : this.#state === 'new' && kind === KIND.hello;
    if (!allowed) throw protocolError('a frame out of turn on the control stream');
    if (bodyBytes > (welcomed ? CONTROL_BODY_BYTES_MAX : HELLO_BODY_BYTES_MAX)) {
      throw protocolError(`a control frame of ${bodyBytes} bytes`);
    }
  }

  #onFrame(frame: Frame): void {
    if (!isControl(frame)) throw protocolError('a transaction on the control stream');
    if (frame.kind === KIND.ping) this.#send(KIND.pong, frame.sequence);
    else void this.#decide(readHello(frame.body));
  }

  async #decide(hello: Hello): Promise<void> {
    this.#state = 'deciding';
    this.#timer?.cancel();
    try {
      const admission = await this.#host.admit(this, hello);
      if (this.#state !== 'deciding') return;
      this.#admission = admission;
      this.#epoch = hello.epoch;
      this.#state = 'welcomed';
      this.#send(KIND.welcome, 0, welcomeBody(admission.welcome));
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      this.dismiss(error);
    }
  }

  #send(kind: ControlFrame['kind'], sequence: number, body?: Record<string, unknown>): void {
    this.#control?.write([encodeControl(kind, sequence, body)]);
  }

  #onClose(): void {
    this.#timer?.cancel();
    this.#state = 'ended';
    this.#host.gone(this);
  }
}
