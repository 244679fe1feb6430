import { FrameDecoder } from '../../src/protocol/decoder.js';
import { encodeExtents } from '../../src/protocol/extents.js';
import { type Frame, isRequest, NO_CHECKSUM, type RequestFrame } from '../../src/protocol/frame.js';
import { KIND, PROTOCOL_VERSION } from '../../src/protocol/kinds.js';
import {
  ERRNO_DAMAGED,
  failureBody,
  NONCE_BYTES,
  type Notice,
  noticeBody,
  readHello,
  VERIFIER_BYTES,
  type Welcome,
  welcomeBody,
} from '../../src/protocol/messages.js';
import type { Connection, Stream } from '../../src/transport/transport.js';
import type { Checksum } from '../../wasm/checksums.js';
import { pattern } from '../client/support.js';
import type { Random } from '../simulation/random.js';
import { encodeLoose, type LooseFrame, mutated } from './mutate.js';

export const EXPORT_BYTES = 1 << 20;

/** Bytes that differ wherever they are, so that an answer to another read is noticed. */
export const CONTENT: Buffer = pattern(EXPORT_BYTES, 1);

/** How likely a frame is to be changed, before WELCOME, with it and after it. */
export interface Malice {
  readonly welcome: number;
  readonly replies: number;
  readonly notices: number;
}

/** One connection of an export that says what is right, and often changes it on its way. */
export class HostileExport {
  readonly #random: Random;
  readonly #malice: Malice;
  readonly #checksum: Checksum;
  #control: Stream | undefined;

  constructor(connection: Connection, random: Random, malice: Malice, checksum: Checksum) {
    this.#random = random;
    this.#malice = malice;
    this.#checksum = checksum;
    connection.onStream((stream) => {
      this.#control ??= stream;
      const decoder = new FrameDecoder(
        () => {},
        (frame) => this.#onFrame(stream, frame),
      );
      stream.onData((chunk) => decoder.push(chunk));
    });
  }

  #onFrame(stream: Stream, frame: Frame): void {
    const { replies, notices, welcome } = this.#malice;
    if (isRequest(frame)) {
      this.#send(stream, this.#answer(frame), replies);
      if (this.#random.chance(notices)) this.#send(this.#control, this.#notice(), 0.5);
    } else if (frame.kind === KIND.hello) {
      const hello = readHello(frame.body);
      if (this.#random.chance(0.1)) this.#send(stream, this.#notice(), welcome);
      const body = welcomeBody(welcomeTo(hello.session, hello.epoch));
      this.#send(stream, { header: [KIND.welcome, 0, 0, 0], body }, welcome);
    } else if (frame.kind === KIND.ping) {
      this.#send(stream, { header: [KIND.pong, frame.sequence, 0, 0], body: undefined }, replies);
    }
  }

  #send(stream: Stream | undefined, frame: LooseFrame, malice: number): void {
    const changed = this.#random.chance(malice);
    const bytes = changed ? mutated(frame, this.#random) : encodeLoose(frame);
    if (this.#random.chance(malice * 0.1)) return;
    stream?.write([bytes]);
    if (this.#random.chance(malice * 0.1)) stream?.write([bytes]);
  }

  #answer(request: RequestFrame): LooseFrame {
    const { transaction, offset, lengthBytes } = request;
    if (this.#random.chance(this.#malice.replies * 0.1)) return this.#failure(transaction);
    // What would be right for another request has a checksum that holds.
    const other = this.#random.chance(this.#malice.replies * 0.1);
    if (other) return this.#answer({ ...request, ...this.#otherRequest() });
    switch (request.kind) {
      case KIND.read: {
        const data = CONTENT.subarray(offset, offset + lengthBytes);
        return this.#data(KIND.data, transaction, data);
      }
      case KIND.blockStatus:
        return this.#data(
          KIND.extents,
          transaction,
          encodeExtents([{ lengthBytes, hole: false, zero: false }]),
        );
      default:
        return { header: [KIND.done, transaction, 0, 0, NO_CHECKSUM], body: undefined };
    }
  }

  #otherRequest(): Partial<RequestFrame> {
    return this.#random.pick<Partial<RequestFrame>>([
      { kind: KIND.read, offset: 0, lengthBytes: 1 + this.#random.below(1000) },
      { kind: KIND.blockStatus, lengthBytes: 1 },
      { kind: KIND.flush },
    ]);
  }

  #data(kind: number, transaction: number, body: Buffer): LooseFrame {
    return { header: [kind, transaction, 0, 0, this.#checksum.digest([body])], body };
  }

  #failure(transaction: number): LooseFrame {
    const errno = this.#random.pick([5, 28, ERRNO_DAMAGED, 0, 1]);
    const body = failureBody({ code: 'DST_E_TEST', message: 'the disk says no' });
    return { header: [KIND.failed, transaction, errno, 0, NO_CHECKSUM], body };
  }

  #notice(): LooseFrame {
    const notices: readonly [Notice, ...Notice[]] = [
      { event: 'resized', sizeBytes: this.#random.pick([0, EXPORT_BYTES, 2 ** 50]) },
      { event: 'going away' },
      { event: 'lanes', lanes: this.#random.pick([1, 2, 4]) },
      { event: 'working', transactions: [1, 2, 3, 1000] },
      { event: 'closing', failure: { code: 'DST_E_FLUSH_LOST', message: 'a flush failed' } },
      { event: 'closing', failure: { code: 'DST_E_FENCED', message: 'somebody else came' } },
      { event: 'closing', failure: { code: 'DST_E_TAKEN_OVER', message: 'somebody writes' } },
    ];
    return { header: [KIND.notice, 0, 0, 0], body: noticeBody(this.#random.pick(notices)) };
  }
}

function welcomeTo(session: Buffer, epoch: number): Welcome {
  return {
    version: PROTOCOL_VERSION,
    session,
    epoch,
    nonce: Buffer.alloc(NONCE_BYTES),
    checksum: 'crc32c',
    checksums: ['crc32c'],
    export: {
      name: 'vol',
      sizeBytes: EXPORT_BYTES,
      minimumBlockBytes: 1,
      preferredBlockBytes: 4096,
      readOnly: false,
      capabilities: ['flush', 'fua', 'trim', 'writeZeroes', 'blockStatus', 'cache'],
    },
    exports: [],
    credit: { transactions: 16, bytes: 1 << 20, window: 1024 },
    lanes: 4,
    payloadBytesMax: 1 << 20,
    verifier: Buffer.alloc(VERIFIER_BYTES),
    agent: 'hostile',
  };
}
