import { randomBytes } from 'node:crypto';
import type { ProofContext, Secret } from '../../src/access/secret.js';
import { PING_INTERVAL_MS_MAX } from '../../src/limits.js';
import { FrameDecoder } from '../../src/protocol/decoder.js';
import { encodeControl, encodeRequest } from '../../src/protocol/encode.js';
import {
  type ControlFrame,
  isControl,
  isReply,
  NO_CHECKSUM,
  NO_PIECES,
  type ReplyFrame,
  type RequestFrame,
} from '../../src/protocol/frame.js';
import { KIND, PROTOCOL_VERSION } from '../../src/protocol/kinds.js';
import {
  type Failure,
  type Hello,
  helloBody,
  NONCE_BYTES,
  type Notice,
  proofBody,
  readChallenge,
  readFailure,
  readNotice,
  readWelcome,
  SESSION_BYTES,
  type Welcome,
} from '../../src/protocol/messages.js';
import type { CloseReason, Connection, Stream } from '../../src/transport/transport.js';
import { soon } from './wait.js';

/** What arrives, for whoever awaits it. */
class Arrivals<T> {
  readonly #arrived: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  get count(): number {
    return this.#arrived.length;
  }

  push(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#arrived.push(value);
    else waiting(value);
  }

  next(what: string): Promise<T> {
    const value = this.#arrived.shift();
    if (value !== undefined) return Promise.resolve(value);
    return soon(new Promise((resolve) => this.#waiting.push(resolve)), what);
  }
}

/** A request stream in the hands of a test, which may break the protocol on it. */
export class RawStream {
  readonly #stream: Stream;
  readonly #replies = new Arrivals<ReplyFrame>();

  constructor(stream: Stream) {
    this.#stream = stream;
    const decoder = new FrameDecoder(
      () => {},
      (frame) => {
        if (isReply(frame)) this.#replies.push(frame);
      },
    );
    stream.onData((chunk) => decoder.push(chunk));
  }

  /** Replies that nobody has awaited yet. */
  get replies(): number {
    return this.#replies.count;
  }

  send(request: Partial<RequestFrame>): void {
    this.#stream.write(encodeRequest(requestOf(request)));
  }

  write(bytes: Buffer): void {
    this.#stream.write([bytes]);
  }

  reply(): Promise<ReplyFrame> {
    return this.#replies.next('a reply');
  }

  /** Sends a request and waits for its reply. */
  run(request: Partial<RequestFrame>): Promise<ReplyFrame> {
    this.send(request);
    return this.reply();
  }
}

/** A client that speaks the protocol frame by frame, as a test tells it. */
export class RawClient {
  readonly connection: Connection;
  readonly session: Buffer<ArrayBuffer>;
  /** Why the connection ended. */
  readonly closed: Promise<CloseReason>;
  readonly #control: Stream;
  readonly #frames = new Arrivals<ControlFrame>();
  #said: Hello | undefined;

  constructor(connection: Connection, session = randomBytes(SESSION_BYTES)) {
    this.connection = connection;
    this.session = session;
    this.closed = soon(
      new Promise((resolve) => connection.onClose(resolve)),
      'the end of a connection',
    );
    // Not every test waits for it.
    this.closed.catch(() => {});
    this.#control = connection.openStream();
    const decoder = new FrameDecoder(
      () => {},
      (frame) => {
        if (isControl(frame)) this.#frames.push(frame);
      },
    );
    this.#control.onData((chunk) => decoder.push(chunk));
  }

  hello(changes: Partial<Hello> = {}): void {
    const hello: Hello = {
      version: PROTOCOL_VERSION,
      intent: 'attach',
      export: 'vol',
      session: this.session,
      epoch: 1,
      lane: 0,
      nonce: randomBytes(NONCE_BYTES),
      checksums: ['none'],
      readOnly: false,
      resuming: false,
      takeover: false,
      pingIntervalMs: PING_INTERVAL_MS_MAX,
      agent: 'test',
      ...changes,
    };
    this.#said = hello;
    this.write(encodeControl(KIND.hello, 0, helloBody(hello)));
  }

  /** What is to be proved, once the CHALLENGE has come that answers the HELLO. */
  async challenged(): Promise<ProofContext> {
    const frame = await this.frame();
    if (frame.kind !== KIND.challenge) throw new Error(`frame ${frame.kind} is no CHALLENGE`);
    const hello = this.#said;
    if (hello === undefined) throw new Error('a CHALLENGE before HELLO');
    return {
      clientNonce: hello.nonce,
      exportNonce: readChallenge(frame.body).nonce,
      session: hello.session,
      epoch: hello.epoch,
      exportName: hello.export,
      certificateSha256: this.connection.serverCertificateSha256,
    };
  }

  prove(secret: Secret, context: ProofContext): void {
    const proof = secret.prove('client', context);
    this.write(encodeControl(KIND.proof, 0, proofBody({ proof })));
  }

  /** Bytes of the test's own on the control stream. */
  write(bytes: Buffer): void {
    this.#control.write([bytes]);
  }

  frame(): Promise<ControlFrame> {
    return this.#frames.next('a control frame');
  }

  async welcome(changes: Partial<Hello> = {}): Promise<Welcome> {
    this.hello(changes);
    const frame = await this.frame();
    if (frame.kind !== KIND.welcome) throw new Error(readFailure(frame.body).message);
    return readWelcome(frame.body);
  }

  /** The refusal that answers the HELLO; it is followed by hanging up, unless we `stay`. */
  async refusal(options: { stay?: boolean } = {}): Promise<Failure> {
    const frame = await this.frame();
    if (frame.kind !== KIND.refused) throw new Error(`frame ${frame.kind} is no refusal`);
    if (!options.stay) this.connection.close('refused');
    return readFailure(frame.body);
  }

  /** The next notice of that event; other frames are passed over. */
  async notice<E extends Notice['event']>(event: E): Promise<Extract<Notice, { event: E }>> {
    for (;;) {
      const notice = readNotice((await this.frame()).body);
      if (notice?.event === event) return notice as Extract<Notice, { event: E }>;
    }
  }

  /** Why the export ends a welcomed connection; it is followed by hanging up. */
  async dismissal(): Promise<Failure> {
    const { failure } = await this.notice('closing');
    this.connection.close('dismissed');
    return failure;
  }

  /** Ends the session. */
  leave(): void {
    this.write(encodeControl(KIND.leave, 0));
  }

  open(): RawStream {
    return new RawStream(this.connection.openStream());
  }
}

function requestOf(request: Partial<RequestFrame>): RequestFrame {
  return {
    kind: KIND.read,
    transaction: 1,
    flags: 0,
    retired: 1,
    offset: 0,
    lengthBytes: 0,
    checksum: NO_CHECKSUM,
    payload: NO_PIECES,
    ...request,
  };
}

/** A WRITE of these bytes, without a checksum. */
export function writeOf(transaction: number, offset: number, bytes: Buffer): Partial<RequestFrame> {
  return { kind: KIND.write, transaction, offset, lengthBytes: bytes.length, payload: [bytes] };
}
