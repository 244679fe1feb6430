import type { Checksum } from '../../wasm/checksums.js';
import { DstError } from '../errors.js';
import { REPLIES_TOGETHER_BYTES_MAX } from '../limits.js';
import { lengthOf } from '../pieces.js';
import { FrameDecoder } from '../protocol/decoder.js';
import { encodeReply } from '../protocol/encode.js';
import { type Frame, isRequest, type RequestFrame } from '../protocol/frame.js';
import { type Header, protocolError } from '../protocol/header.js';
import { KIND } from '../protocol/kinds.js';
import { ERRNO_DAMAGED } from '../protocol/messages.js';
import type { Stream } from '../transport/transport.js';
import type { Answer } from './executor.js';

/** What a request stream needs of the connection that it belongs to. */
export interface RequestHost {
  readonly checksum: Checksum;
  readonly payloadBytesMax: number;
  /** Counts a request against the credit; throws DST_E_LIMIT where it breaks it. */
  reserve(payloadBytes: number): void;
  /** A request that was reserved has its answer ... */
  answered(transaction: number): void;
  /** ... which the transport has taken: until then it counts, as a peer may read nothing. */
  taken(payloadBytes: number): void;
  /** A write came damaged: it was refused, for its client to send again. */
  damaged(transaction: number): void;
  /** Runs a task once all has been heard that has come by now. */
  endOfTurn(task: () => void): void;
  /** Carries the request out; undefined when the export is going away and ignores it. */
  run(request: RequestFrame): Promise<Answer> | undefined;
  /** The peer broke the protocol. */
  breach(error: DstError): void;
}

/**
 * The export's end of one stream that carries transactions. Those that end in one turn of the
 * event loop are answered together.
 */
export class RequestStream {
  readonly #stream: Stream;
  readonly #host: RequestHost;
  readonly #decoder: FrameDecoder;
  /** Of the request that is coming in. */
  #reservedBytes = 0;
  #replies: Buffer[] = [];
  #replyBytes = 0;
  #taken: (() => void)[] = [];
  #flushing = false;

  constructor(stream: Stream, host: RequestHost) {
    this.#stream = stream;
    this.#host = host;
    this.#decoder = new FrameDecoder(
      (header) => this.#admit(header),
      (frame) => this.#onFrame(frame),
    );
    stream.onData((chunk) => this.#onData(chunk));
  }

  #onData(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      this.#host.breach(error);
    }
  }

  /** Agrees to a request by its header, before any of its payload is kept. */
  #admit(header: Header): void {
    if (header.kind < KIND.read || header.kind >= KIND.done) {
      throw protocolError('a frame that is no request on a request stream');
    }
    const moves =
      header.kind === KIND.read || header.kind === KIND.write || header.kind === KIND.hash;
    if (moves && header.lengthBytes > this.#host.payloadBytesMax) {
      throw protocolError(`a transaction of ${header.lengthBytes} bytes`);
    }
    this.#reservedBytes = moves ? header.lengthBytes : 0;
    this.#host.reserve(this.#reservedBytes);
  }

  #onFrame(frame: Frame): void {
    if (!isRequest(frame)) throw protocolError('a frame that is no request');
    const reservedBytes = this.#reservedBytes;
    const answer = this.#host.run(frame);
    if (answer === undefined) return;
    answer.then(
      (ended) => this.#reply(frame.transaction, ended, reservedBytes),
      (error: unknown) => {
        if (!(error instanceof DstError)) throw error;
        this.#host.breach(error);
      },
    );
  }

  #reply(transaction: number, answer: Answer, reservedBytes: number): void {
    const { payload } = answer;
    this.#host.answered(transaction);
    if (answer.errno === ERRNO_DAMAGED) this.#host.damaged(transaction);
    const frame = encodeReply(answer.kind, transaction, {
      errno: answer.errno,
      checksum: answer.checksum,
      payload: payload?.pieces ?? [],
      payloadBytes: payload?.lengthBytes ?? 0,
    });
    this.#gather(frame);
    this.#taken.push(() => {
      payload?.release();
      this.#host.taken(reservedBytes);
    });
  }

  /**
   * Adds a reply to those of this turn. They are written together as far as the transport takes
   * them together: a client that has an answer may send the next request, so that answer must not
   * count here while another one waits to be taken.
   */
  #gather(frame: readonly Buffer[]): void {
    const frameBytes = lengthOf(frame);
    if (this.#replyBytes + frameBytes > REPLIES_TOGETHER_BYTES_MAX) this.#write();
    this.#replies.push(...frame);
    this.#replyBytes += frameBytes;
    if (this.#flushing) return;
    this.#flushing = true;
    this.#host.endOfTurn(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    this.#write();
  };

  #write(): void {
    if (this.#taken.length === 0) return;
    const replies = this.#replies;
    const taken = this.#taken;
    this.#replies = [];
    this.#replyBytes = 0;
    this.#taken = [];
    this.#stream.write(replies, () => {
      for (const each of taken) each();
    });
  }
}
