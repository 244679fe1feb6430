/**
 * One connection as the export sees it: HELLO, a proof of the shared secret where there is
 * one, then WELCOME or REFUSED on the control stream, then request streams until it ends.
 * What a stranger can make it hold before WELCOME is what one HELLO holds, of bounded size,
 * for a bounded time; and without a proof it learns nothing of the stores, and claims nothing.
 */
import type { Checksum } from '../../wasm/checksums.js';
import { TOO_OFTEN } from '../access/gate.js';
import type { Timer } from '../clock.js';
import { DstError, invariant } from '../errors.js';
import {
  CONTROL_BODY_BYTES_MAX,
  CONTROL_QUEUE_BYTES_MAX,
  FRAME_PAYLOAD_BYTES_MAX,
  HELLO_BODY_BYTES_MAX,
  HELLO_TIMEOUT_MS,
  PEER_IDLE_TIMEOUT_MS,
  PINGS_UNANSWERED_MAX,
  PROOF_BODY_BYTES_MAX,
  REFUSAL_LINGER_MS,
} from '../limits.js';
import { FrameDecoder } from '../protocol/decoder.js';
import { encodeControl } from '../protocol/encode.js';
import { type ControlFrame, type Frame, isControl, type RequestFrame } from '../protocol/frame.js';
import { protocolError } from '../protocol/header.js';
import { KIND } from '../protocol/kinds.js';
import {
  challengeBody,
  type Failure,
  failureBody,
  type Hello,
  type Notice,
  noticeBody,
  readHello,
  readProof,
  welcomeBody,
} from '../protocol/messages.js';
import type { Connection, Stream } from '../transport/transport.js';
import { Challenge, UNPROVED } from './challenge.js';
import { Credit } from './credit.js';
import type { Answer } from './executor.js';
import type { Admission, PeerHost } from './peer-host.js';
import { type RequestHost, RequestStream } from './request-stream.js';
import type { ExportSession } from './session.js';
import { WorkingNotices } from './working-notices.js';

export class Peer implements RequestHost {
  readonly connection: Connection;
  readonly #host: PeerHost;
  #control: Stream | undefined;
  #decoder: FrameDecoder | undefined;
  #state: 'new' | 'proving' | 'deciding' | 'welcomed' | 'ended' = 'new';
  #challenge: Challenge | undefined;
  #admission: Admission | undefined;
  #epoch = 0;
  #left = false;
  /** None before WELCOME, which tells how much. */
  #credit = new Credit(0);
  #damagedWrites = 0;
  readonly #working: WorkingNotices;
  /** What came last is not older than the idle timer. */
  #heard = false;
  #silenceMaxMs = PEER_IDLE_TIMEOUT_MS;
  #silentMs = 0;
  /** The one for what is waited for: HELLO and its proof, any sign of life, or the end. */
  #timer: Timer | undefined;
  readonly payloadBytesMax = FRAME_PAYLOAD_BYTES_MAX;

  constructor(connection: Connection, host: PeerHost) {
    this.connection = connection;
    this.#host = host;
    this.#working = new WorkingNotices(host.clock, (transactions) =>
      this.notify({ event: 'working', transactions }),
    );
  }

  /** Hears it from here on. To be called once, by a host that is ready for it to be gone. */
  begin(): void {
    const { connection } = this;
    this.#timer = this.#host.clock.after(HELLO_TIMEOUT_MS, () =>
      connection.close(this.#state === 'new' ? 'no HELLO came' : 'no PROOF came'),
    );
    connection.onClose(() => this.#onClose());
    connection.onStream((stream) => this.#onStream(stream));
  }

  /** Its HELLO is being decided on: it has neither ended nor been dismissed meanwhile. */
  get deciding(): boolean {
    return this.#state === 'deciding';
  }

  /** How long nothing had come from it when it was given up, ms; 0 where it ended by itself. */
  get silentMs(): number {
    return this.#silentMs;
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
    this.#working.stop();
    // Closing at once could overtake the frame that says why.
    this.#timer?.cancel();
    this.#timer = this.#host.clock.after(REFUSAL_LINGER_MS, () =>
      this.connection.close(failure.message),
    );
  }

  // ---- RequestHost ---------------------------------------------------------------------

  reserve(payloadBytes: number): void {
    this.#heard = true;
    this.#credit.reserve(payloadBytes);
  }

  endOfTurn(task: () => void): void {
    this.#host.clock.endOfTurn(task);
  }

  answered(transaction: number): void {
    this.#working.ended(transaction);
  }

  taken(payloadBytes: number): void {
    this.#credit.giveBack(payloadBytes);
  }

  run(request: RequestFrame): Promise<Answer> | undefined {
    const session = this.session;
    // Unanswered on purpose: the client sends it again to whoever comes after this process.
    if (this.#host.draining || session === undefined || this.#state !== 'welcomed') return;
    this.#working.began(request.transaction);
    return session.run(this.#epoch, request, this.checksum);
  }

  damaged(transaction: number): void {
    this.#host.countDamaged();
    const count = ++this.#damagedWrites;
    // The 1st, 2nd, 4th, 8th and so on: a client may do it on purpose, to fill the log.
    if ((count & (count - 1)) !== 0) return;
    this.#host.log.warn(
      { peer: this.connection.peer, transaction, count },
      'a write failed its checksum: refused, for its client to send again',
    );
  }

  breach(error: DstError): void {
    if (this.#state === 'ended') return;
    this.#tell(error.code === 'DST_E_FENCED' ? 'debug' : 'warn', error, 'connection closed');
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
      // Without a handler the stream would keep what comes until the connection is closed.
      stream.onData(() => {});
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
    const bytesMax = this.#bodyBytesMax(kind);
    if (bytesMax === undefined) throw protocolError('a frame out of turn on the control stream');
    if (bodyBytes > bytesMax) throw protocolError(`a control frame of ${bodyBytes} bytes`);
  }

  /** Of the largest body that a frame of this kind may have now; undefined if none may come. */
  #bodyBytesMax(kind: number): number | undefined {
    switch (this.#state) {
      case 'new':
        return kind === KIND.hello ? HELLO_BODY_BYTES_MAX : undefined;
      case 'proving':
        return kind === KIND.proof ? PROOF_BODY_BYTES_MAX : undefined;
      case 'welcomed':
        return kind === KIND.ping || kind === KIND.leave ? CONTROL_BODY_BYTES_MAX : undefined;
      case 'deciding':
      case 'ended':
        return undefined;
    }
  }

  #onFrame(frame: Frame): void {
    if (!isControl(frame)) throw protocolError('a transaction on the control stream');
    this.#heard = true;
    if (frame.kind === KIND.ping) this.#send(KIND.pong, frame.sequence);
    else if (frame.kind === KIND.leave) this.#leave();
    else if (frame.kind === KIND.proof) this.#checkProof(readProof(frame.body).proof);
    else this.#onHello(readHello(frame.body));
  }

  #leave(): void {
    // Each would be kept until what is in progress has ended.
    if (this.#left) throw protocolError('a second LEAVE');
    this.#left = true;
    this.#host.leave(this);
  }

  #onHello(hello: Hello): void {
    const { secret } = this.#host;
    if (secret === undefined) {
      void this.#decide(hello);
      return;
    }
    if (!this.#host.chargeProof(this)) {
      this.#state = 'ended';
      this.connection.close(TOO_OFTEN);
      return;
    }
    this.#challenge = new Challenge(secret, hello, this.connection);
    this.#state = 'proving';
    this.#send(KIND.challenge, 0, challengeBody(this.#challenge));
  }

  #checkProof(proof: Buffer): void {
    const challenge = this.#challenge;
    invariant(challenge !== undefined, 'a PROOF without a CHALLENGE was let through');
    this.#challenge = undefined;
    if (challenge.accepts(proof)) {
      this.#host.refundProof(this);
      void this.#decide(challenge.hello, challenge);
      return;
    }
    this.#tell('warn', UNPROVED, 'refused: it does not hold the secret');
    this.dismiss(UNPROVED);
  }

  async #decide(hello: Hello, challenge?: Challenge): Promise<void> {
    this.#state = 'deciding';
    this.#timer?.cancel();
    try {
      const admission = await this.#host.admit(this, hello);
      if (this.#state !== 'deciding') return;
      this.#admission = admission;
      this.#epoch = hello.epoch;
      this.#silenceMaxMs = silenceMaxMs(hello.pingIntervalMs);
      this.#state = 'welcomed';
      const welcome = { ...admission.welcome(), ...challenge?.answer() };
      this.#credit = new Credit(welcome.credit.bytes);
      this.#send(KIND.welcome, 0, welcomeBody(welcome));
      this.#watch();
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      if (this.#state === 'deciding') this.#tell('info', error, 'refused');
      this.dismiss(error);
    }
  }

  /** A client decides how often it is refused or cut off, and not how often the log says so. */
  #tell(level: 'debug' | 'info' | 'warn', { code, message }: Failure, what: string): void {
    const { log } = this.#host;
    // Not in the line itself, as the client may have chosen some of its words.
    const details = { peer: this.connection.peer, code, reason: message };
    if (level === 'debug' || !this.#host.mayTell(this)) log.debug(details, what);
    else log[level](details, what);
  }

  /** Dismisses the peer once nothing has come for a whole turn of the timer. */
  #watch(): void {
    this.#heard = false;
    this.#timer = this.#host.clock.after(this.#silenceMaxMs, () => {
      if (this.#heard) {
        this.#watch();
        return;
      }
      this.#silentMs = this.#silenceMaxMs;
      this.dismiss(idle(this.#silenceMaxMs));
    });
  }

  #send(kind: ControlFrame['kind'], sequence: number, body?: Record<string, unknown>): void {
    const control = this.#control;
    if (control === undefined) return;
    if (control.queuedBytes > CONTROL_QUEUE_BYTES_MAX) {
      this.connection.close('it does not read what it is sent');
      return;
    }
    control.write([encodeControl(kind, sequence, body)]);
  }

  #onClose(): void {
    this.#timer?.cancel();
    this.#working.stop();
    this.#state = 'ended';
    // Asked for a proof, it gave none: it has guessed nothing.
    if (this.#challenge !== undefined) this.#host.refundProof(this);
    this.#challenge = undefined;
    this.#host.gone(this);
  }
}

/** As the client takes an export for dead, so the export the client. */
function silenceMaxMs(pingIntervalMs: number): number {
  return Math.min(PEER_IDLE_TIMEOUT_MS, pingIntervalMs * PINGS_UNANSWERED_MAX);
}

function idle(silentMs: number): Failure {
  const message = `nothing came for ${silentMs / 1000} s, not even a ping; connect again`;
  return { code: 'DST_E_IDLE', message };
}
