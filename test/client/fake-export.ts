import { randomBytes } from 'node:crypto';
import { FrameDecoder } from '../../src/protocol/decoder.js';
import { encodeControl } from '../../src/protocol/encode.js';
import { type ControlFrame, isControl } from '../../src/protocol/frame.js';
import { KIND, PROTOCOL_VERSION } from '../../src/protocol/kinds.js';
import {
  type Failure,
  failureBody,
  type Hello,
  NONCE_BYTES,
  type Notice,
  noticeBody,
  readHello,
  VERIFIER_BYTES,
  type Welcome,
  welcomeBody,
} from '../../src/protocol/messages.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import type { Connection, Stream } from '../../src/transport/transport.js';
import type { VirtualClock } from '../support/virtual-time.js';

/** The export's end of one connection, in the hands of a test. */
export class FakePeer {
  readonly connection: Connection;
  hello: Hello | undefined;
  closed = false;
  /** Control frames after HELLO. */
  readonly frames: ControlFrame[] = [];
  #control: Stream | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
    connection.onClose(() => {
      this.closed = true;
    });
    connection.onStream((stream) => {
      this.#control ??= stream;
      if (this.#control === stream) this.#listen(stream);
    });
  }

  /** Answers HELLO; what `changes` holds stands in place of what would be expected. */
  welcome(changes: Partial<Welcome> = {}, ...notices: Notice[]): void {
    this.write(
      this.welcomeFrame(changes),
      ...notices.map((notice) => encodeControl(KIND.notice, 0, noticeBody(notice))),
    );
  }

  welcomeFrame(changes: Partial<Welcome> = {}): Buffer {
    if (this.hello === undefined) throw new Error('no HELLO has come that could be answered');
    const { session, epoch } = this.hello;
    const welcome: Welcome = {
      version: PROTOCOL_VERSION,
      session,
      epoch,
      nonce: randomBytes(NONCE_BYTES),
      checksum: 'none',
      checksums: ['none'],
      export: {
        name: 'vol',
        sizeBytes: 1024 * 1024,
        minimumBlockBytes: 1,
        preferredBlockBytes: 4096,
        readOnly: false,
        capabilities: ['flush'],
      },
      exports: [],
      credit: { transactions: 16, bytes: 1 << 20, window: 1024 },
      lanes: 1,
      payloadBytesMax: 1 << 20,
      verifier: Buffer.alloc(VERIFIER_BYTES),
      agent: 'fake',
      ...changes,
    };
    return encodeControl(KIND.welcome, 0, welcomeBody(welcome));
  }

  refuse(failure: Failure): void {
    this.write(encodeControl(KIND.refused, 0, failureBody(failure)));
  }

  notify(notice: Notice): void {
    this.write(encodeControl(KIND.notice, 0, noticeBody(notice)));
  }

  pong(sequence: number): void {
    this.write(encodeControl(KIND.pong, sequence));
  }

  /** Sends bytes on the control stream, as one piece. */
  write(...bytes: Buffer[]): void {
    this.#control?.write([Buffer.concat(bytes)]);
  }

  #listen(stream: Stream): void {
    const decoder = new FrameDecoder(
      () => {},
      (frame) => {
        if (!isControl(frame)) return;
        if (frame.kind === KIND.hello) this.hello = readHello(frame.body);
        else this.frames.push(frame);
      },
    );
    stream.onData((chunk) => decoder.push(chunk));
  }
}

/** An export that does nothing by itself, over a network in virtual time. */
export class FakeExport {
  readonly network: MemoryNetwork;
  readonly peers: FakePeer[] = [];

  constructor(clock: VirtualClock) {
    this.network = new MemoryNetwork({
      schedule: (task, delayMs) => clock.after(delayMs, task),
      delayMs: () => 1,
    });
    this.network.listen().onConnection((connection) => this.peers.push(new FakePeer(connection)));
  }

  /** The export's end of a connection, the first of which is 0. */
  peer(number: number): FakePeer {
    const peer = this.peers[number];
    if (peer === undefined) throw new Error(`connection ${number} has not been made`);
    return peer;
  }
}
