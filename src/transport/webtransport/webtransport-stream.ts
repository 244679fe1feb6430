import { WEBTRANSPORT_PIECE_BYTES_MAX } from '../../limits.js';
import { lengthOf } from '../../pieces.js';
import type { Stream } from '../transport.js';
import type {
  EngineReadBuffer,
  EngineSession,
  EngineStream,
  EngineStreamHandler,
} from './engine.js';

/** A piece that the library has not told to be done, or the end of a write after such. */
interface Untaken {
  /** 0 for the end of a write, when `taken` is called. */
  readonly lengthBytes: number;
  readonly taken: (() => void) | undefined;
}

/** A stream of the WebTransport library's lower layer behind the transport seam. */
export class WebTransportStream implements Stream {
  readonly id: number;
  #engine: EngineStream | undefined;
  /** What was written before the library had made the stream. */
  #unsent: Buffer[] = [];
  readonly #untaken: Untaken[] = [];
  #queuedBytes = 0;
  #dead = false;
  #handler: ((chunk: Buffer) => void) | undefined;
  #early: Buffer[] = [];

  constructor(id: number) {
    this.id = id;
  }

  /** Gives it the library's stream, and sends what was written before. */
  attach(engine: EngineStream, session: EngineSession): void {
    this.#engine = engine;
    engine.jsobj = this.#handlerFor(session);
    engine.sendInitialParameters?.();
    engine.startReading();
    for (const piece of this.#unsent.splice(0)) engine.writeChunk(piece);
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * The library tells a write to be done when HTTP/2 still holds the very bytes (1.6.8), so it
   * is given copies. They are taken when it does so all the same: what a peer does not read
   * stays untaken, which is how a writer knows.
   */
  write(pieces: readonly Buffer[], taken?: () => void): void {
    if (!this.#dead) {
      for (const piece of copied(pieces)) this.#send(piece);
    }
    if (taken === undefined) return;
    if (this.#untaken.length === 0) taken();
    else this.#untaken.push({ lengthBytes: 0, taken });
  }

  onData(handler: (chunk: Buffer) => void): void {
    this.#handler = handler;
    for (const chunk of this.#early.splice(0)) handler(chunk);
  }

  /** From here on it swallows what it is given. */
  end(): void {
    this.#dead = true;
    this.#early = [];
    this.#unsent = [];
    this.#queuedBytes = 0;
    for (const { taken } of this.#untaken.splice(0)) taken?.();
  }

  #send(piece: Buffer): void {
    // First, as the library may tell it to be done within the call.
    this.#untaken.push({ lengthBytes: piece.length, taken: undefined });
    this.#queuedBytes += piece.length;
    if (this.#engine === undefined) this.#unsent.push(piece);
    else this.#engine.writeChunk(piece);
  }

  /** The oldest piece is done, and whoever waited for it alone. */
  #onWritten(): void {
    this.#queuedBytes -= this.#untaken.shift()?.lengthBytes ?? 0;
    while (this.#untaken[0]?.lengthBytes === 0) this.#untaken.shift()?.taken?.();
  }

  #handlerFor(session: EngineSession): EngineStreamHandler {
    return {
      parentobj: session,
      // A buffer of its own: the library (1.6.8) writes to the start of the memory that it
      // lies in, be it a view of more. It is as large as the bytes, so it pins no others (C16).
      getReadBuffer: ({ byteSize }) => ({
        buffer: Buffer.allocUnsafeSlow(byteSize),
        readBytes: 0,
        fin: false,
      }),
      commitReadBuffer: (filled) => this.#onRead(filled),
      onStreamWrite: () => this.#onWritten(),
      // Streams end with their connection; a peer that resets one gets no more of it.
      onStreamRecvSignal: () => this.end(),
      onStreamNetworkFinish: () => {},
    };
  }

  #onRead({ buffer, readBytes = 0 }: EngineReadBuffer): { stopReading?: boolean } {
    if (buffer === undefined || readBytes === 0 || this.#dead) return {};
    const chunk = readBytes === buffer.length ? buffer : buffer.subarray(0, readBytes);
    if (this.#handler === undefined) this.#early.push(chunk);
    else this.#handler(chunk);
    return {};
  }
}

/** The bytes of all pieces, in few buffers that are nobody else's. */
function* copied(pieces: readonly Buffer[]): Generator<Buffer> {
  let leftBytes = lengthOf(pieces);
  let target = EMPTY;
  let filledBytes = 0;
  for (const piece of pieces) {
    let offset = 0;
    while (offset < piece.length) {
      if (filledBytes === target.length) {
        target = Buffer.allocUnsafe(Math.min(leftBytes, WEBTRANSPORT_PIECE_BYTES_MAX));
        filledBytes = 0;
      }
      const length = piece.copy(target, filledBytes, offset);
      offset += length;
      filledBytes += length;
      leftBytes -= length;
      if (filledBytes === target.length) yield target;
    }
  }
}

const EMPTY = Buffer.alloc(0);
