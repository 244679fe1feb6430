/**
 * A stream of the QUIC engine behind the transport seam.
 *
 * It takes the engine's events at the methods that the engine itself calls on its stream
 * objects, below Node's Duplex, for two reasons. A `write()` inside a 'data' handler that
 * meets backpressure loses its drain callback, and that stream never sends again (engine
 * 0.9.0; ENGINES C1). And the Duplex costs a fifth of the throughput of small transactions.
 * The methods are the engine's own, so its version is pinned exactly, and
 * test/transport/engine-defects.test.ts notices when they change.
 */
import { invariant } from '../../errors.js';
import { QUIC_GATHER_BYTES } from '../../limits.js';
import type { Stream } from '../transport.js';

/** What we use of the engine's QuicStream. */
export interface EngineStream {
  readonly id: number;
  on(event: 'error' | 'close', listener: () => void): unknown;
  read(): Buffer | null;
  _pushData(chunk: Buffer | null): void;
  _onNativeDrain(): void;
  _onNativeWriteReady(): void;
  _onNativeBlocked(): void;
  /** Bytes that the engine copied and will send; fewer than given when it is full. */
  _doSend(bytes: Buffer, fin: boolean): number;
}

interface Queued {
  bytes: Buffer;
  readonly taken: (() => void) | undefined;
}

/** Small pieces are gathered here: one call to the engine costs more than copying them. */
const gather = Buffer.allocUnsafeSlow(QUIC_GATHER_BYTES);

export class QuicEngineStream implements Stream {
  readonly id: number;
  readonly #engine: EngineStream;
  readonly #queue: Queued[] = [];
  #queuedBytes = 0;
  #blocked = false;
  #dead = false;
  #handler: ((chunk: Buffer) => void) | undefined;
  #early: Buffer[] = [];

  constructor(engine: EngineStream) {
    invariant(
      typeof engine._pushData === 'function' && typeof engine._doSend === 'function',
      'the QUIC engine changed its streams',
    );
    this.id = engine.id;
    this.#engine = engine;
    const first = engine.read();
    if (first !== null) this.#early.push(first);
    engine._pushData = (chunk) => this.#onData(chunk);
    engine._onNativeDrain = () => this.#onDrain();
    engine._onNativeWriteReady = () => this.#onWriteReady();
    engine._onNativeBlocked = () => {
      this.#blocked = true;
    };
    // An 'error' without a listener would end the process; the connection reports the death.
    engine.on('error', () => this.#die());
    engine.on('close', () => this.#die());
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  onData(handler: (chunk: Buffer) => void): void {
    this.#handler = handler;
    const early = this.#early;
    this.#early = [];
    for (const chunk of early) handler(chunk);
  }

  write(pieces: readonly Buffer[], taken?: () => void): void {
    if (this.#dead) {
      taken?.();
      return;
    }
    let gathered = 0;
    for (const piece of pieces) {
      if (gathered + piece.length <= QUIC_GATHER_BYTES) {
        piece.copy(gather, gathered);
        gathered += piece.length;
        continue;
      }
      this.#sendGathered(gathered);
      gathered = 0;
      if (piece.length >= QUIC_GATHER_BYTES) this.#send(piece);
      else gathered = piece.copy(gather, 0);
    }
    this.#sendGathered(gathered);
    if (taken === undefined) return;
    const last = this.#queue.at(-1);
    if (last === undefined) taken();
    else this.#queue.push({ bytes: EMPTY, taken });
  }

  /** Sends what lies in the gathering buffer; what the engine does not take is copied out. */
  #sendGathered(lengthBytes: number): void {
    if (lengthBytes === 0) return;
    const bytes = gather.subarray(0, lengthBytes);
    const sent = this.#queue.length === 0 ? this.#offer(bytes) : 0;
    if (sent < lengthBytes) this.#enqueue(Buffer.from(bytes.subarray(sent)));
  }

  #send(bytes: Buffer): void {
    const sent = this.#queue.length === 0 ? this.#offer(bytes) : 0;
    if (sent < bytes.length) this.#enqueue(bytes.subarray(sent));
  }

  #enqueue(bytes: Buffer): void {
    this.#queue.push({ bytes, taken: undefined });
    this.#queuedBytes += bytes.length;
  }

  #offer(bytes: Buffer): number {
    if (this.#blocked || this.#dead) return 0;
    return this.#engine._doSend(bytes, false);
  }

  #onDrain(): void {
    this.#blocked = false;
    this.#flushQueue();
  }

  /** The engine's command queue has room; the stream's own window may still be closed. */
  #onWriteReady(): void {
    this.#flushQueue();
  }

  #flushQueue(): void {
    while (!this.#dead) {
      const head = this.#queue[0];
      if (head === undefined) return;
      const sent = head.bytes.length === 0 ? 0 : this.#offer(head.bytes);
      this.#queuedBytes -= sent;
      if (sent < head.bytes.length) {
        head.bytes = head.bytes.subarray(sent);
        return;
      }
      this.#queue.shift();
      head.taken?.();
    }
  }

  #onData(chunk: Buffer | null): void {
    // A FIN (null) means nothing here: streams end with their connection.
    if (chunk === null || this.#dead) return;
    if (this.#handler === undefined) this.#early.push(chunk);
    else this.#handler(chunk);
  }

  #die(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#early = [];
    this.#queuedBytes = 0;
    for (const { taken } of this.#queue.splice(0)) taken?.();
  }
}

const EMPTY = Buffer.alloc(0);
