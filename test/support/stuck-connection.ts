import type { CloseReason, Connection, Stream } from '../../src/transport/transport.js';

/** One end of a connection whose other end takes nothing any more once it is stuck. */
export class StuckConnection implements Connection {
  readonly transport: Connection['transport'];
  readonly peer: Connection['peer'];
  stuck = false;
  /** What was written since, and lies in the transport for ever. */
  queuedBytes = 0;
  closed: CloseReason | undefined;
  readonly #inner: Connection;

  constructor(inner: Connection) {
    this.#inner = inner;
    this.transport = inner.transport;
    this.peer = inner.peer;
    inner.onClose((reason) => {
      this.closed = reason;
    });
  }

  openStream(): Stream {
    return this.#wrap(this.#inner.openStream());
  }

  onStream(handler: (stream: Stream) => void): void {
    this.#inner.onStream((stream) => handler(this.#wrap(stream)));
  }

  onClose(handler: (reason: CloseReason) => void): void {
    this.#inner.onClose(handler);
  }

  close(reason: string): void {
    this.#inner.close(reason);
  }

  keepAlive(): void {}

  #wrap(inner: Stream): Stream {
    let queuedBytes = 0;
    return {
      id: inner.id,
      get queuedBytes() {
        return queuedBytes;
      },
      onData: (handler) => inner.onData(handler),
      write: (pieces, taken) => {
        if (!this.stuck) {
          inner.write(pieces, taken);
          return;
        }
        const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
        queuedBytes += bytes;
        this.queuedBytes += bytes;
      },
    };
  }
}
