import type {
  CloseReason,
  Connection,
  PeerAddress,
  Stream,
} from '../../src/transport/transport.js';

/**
 * A client's connection that a test can shut: nothing passes either way, and neither end
 * hears anything of the other, not even that it has hung up, until it is opened again.
 */
export class Valve implements Connection {
  readonly transport: Connection['transport'];
  readonly peer: PeerAddress;
  readonly #inner: Connection;
  #shut = false;
  #held: (() => void)[] = [];
  #streams = 0;
  /** Only the first stream carries anything: what others are given is lost. */
  hollow = false;
  /** It was closed from this side. */
  closed = false;

  /** `transport` is what it passes for. */
  constructor(inner: Connection, transport = inner.transport) {
    this.#inner = inner;
    this.transport = transport;
    this.peer = inner.peer;
  }

  shut(): void {
    this.#shut = true;
  }

  /** What was held passes at once, in order. */
  open(): void {
    this.#shut = false;
    for (const pass of this.#held.splice(0)) pass();
  }

  openStream(): Stream {
    const inner = this.#inner.openStream();
    const first = this.#streams++ === 0;
    return {
      id: inner.id,
      queuedBytes: 0,
      write: (pieces, taken) => {
        if (first || !this.hollow) this.#pass(() => inner.write(pieces, taken));
      },
      onData: (handler) => inner.onData((chunk) => this.#pass(() => handler(chunk))),
    };
  }

  onStream(handler: (stream: Stream) => void): void {
    this.#inner.onStream(handler);
  }

  onClose(handler: (reason: CloseReason) => void): void {
    this.#inner.onClose((reason) => {
      if (this.closed) handler(reason);
      else this.#pass(() => handler(reason));
    });
  }

  close(reason: string): void {
    this.closed = true;
    this.#inner.close(reason);
  }

  keepAlive(): void {}

  #pass(pass: () => void): void {
    if (this.#shut) this.#held.push(pass);
    else pass();
  }
}
