import { DstError, invariant } from '../../errors.js';
import { WEBTRANSPORT_STREAMS_MAX } from '../../limits.js';
import { printable } from '../../printable.js';
import { shortReason } from '../close-reason.js';
import type { CloseReason, Connection, PeerAddress, Stream } from '../transport.js';
import type { EngineCloseEvent, EngineSession, EngineStreamEvent } from './engine.js';
import { WebTransportStream } from './webtransport-stream.js';

/** What lies below a session: an HTTP/2 connection, or the library's own HTTP/3. */
export interface Carrier {
  readonly protocol: 'http/2' | 'http/3';
  readonly peer: PeerAddress;
  readonly serverCertificateSha256: Buffer;
  /** Asks the peer for a sign of life. */
  ping(): void;
  /** The session has ended: whatever carried it ends soon. */
  release(): void;
}

/** One session of the library, of either side, behind the transport seam. */
export class WebTransportConnection implements Connection {
  readonly transport = 'webtransport';
  readonly protocol: 'http/2' | 'http/3';
  readonly peer: PeerAddress;
  readonly serverCertificateSha256: Buffer;
  readonly #session: EngineSession;
  readonly #carrier: Carrier;
  readonly #streams: WebTransportStream[] = [];
  /** Opened here, and not yet made by the library. */
  readonly #awaited: WebTransportStream[] = [];
  #closed: CloseReason | undefined;
  #closeHandlers: ((reason: CloseReason) => void)[] = [];
  #streamHandler: ((stream: Stream) => void) | undefined;

  constructor(session: EngineSession, carrier: Carrier) {
    invariant(
      typeof session.onStream === 'function' && typeof session.onClose === 'function',
      'the WebTransport library changed its sessions',
    );
    this.protocol = carrier.protocol;
    this.peer = carrier.peer;
    this.serverCertificateSha256 = carrier.serverCertificateSha256;
    this.#session = session;
    this.#carrier = carrier;
    this.#takeOver(session);
  }

  openStream(): Stream {
    if (this.#closed !== undefined) {
      throw new DstError('DST_E_CONNECTION_LOST', 'the connection is closed');
    }
    const stream = new WebTransportStream(this.#streams.length);
    this.#awaited.push(stream);
    if (!this.#orderStream()) {
      this.#awaited.pop();
      throw new DstError(
        'DST_E_CONNECTION_LOST',
        'no stream could be opened: the export allows no more on this connection',
      );
    }
    this.#streams.push(stream);
    return stream;
  }

  onStream(handler: (stream: Stream) => void): void {
    this.#streamHandler = handler;
  }

  onClose(handler: (reason: CloseReason) => void): void {
    if (this.#closed === undefined) this.#closeHandlers.push(handler);
    else handler(this.#closed);
  }

  close(reason: string): void {
    if (this.#closed !== undefined) return;
    // First, as the library reports an end by itself within this.
    this.#closed = { message: reason };
    this.#session.close({ closeCode: 0, reason: shortReason(reason) });
    this.#end();
  }

  keepAlive(): void {
    if (this.#closed === undefined) this.#carrier.ping();
  }

  #orderStream(): boolean {
    const engine = this.#session.objint;
    if (engine === undefined || this.#streams.length >= WEBTRANSPORT_STREAMS_MAX) return false;
    return engine.orderBidiStream({ waitUntilAvailable: false });
  }

  /** Puts us between the library's two layers. */
  #takeOver(session: EngineSession): void {
    // They reject where a session ends early, and nobody else listens.
    session.ready.catch(() => {});
    session.closed.catch(() => {});
    session.onStream = (event) => this.#onStream(event);
    session.onDatagramReceived = () => {};
    // The library (1.6.8) would send no more window updates after it.
    session.onGoAwayReceived = () => {};
    const onClose = session.onClose.bind(session);
    session.onClose = (event) => {
      onClose(event);
      this.#onClose(event);
    };
  }

  #onStream({ stream, incoming, bidirectional }: EngineStreamEvent): void {
    const awaited = incoming ? undefined : this.#awaited.shift();
    const made = awaited ?? new WebTransportStream(this.#streams.length);
    // Also where nobody wants it: the library calls what is attached, be there something or not.
    made.attach(stream, this.#session);
    if (awaited !== undefined) return;
    if (this.#closed === undefined && incoming && bidirectional) {
      this.#streams.push(made);
      this.#streamHandler?.(made);
      return;
    }
    made.end();
    this.close('the peer opened a stream that it may not open');
  }

  #onClose({ errorcode, error }: EngineCloseEvent): void {
    if (this.#closed !== undefined) return;
    const code = errorcode ?? 0;
    this.#closed = { message: printable(error ?? '') || `closed with code ${code}`, code };
    this.#end();
  }

  #end(): void {
    const reason = this.#closed;
    invariant(reason !== undefined, 'a connection ended without a reason');
    for (const stream of this.#streams.splice(0)) stream.end();
    this.#awaited.length = 0;
    this.#carrier.release();
    for (const handler of this.#closeHandlers.splice(0)) handler(reason);
  }
}
