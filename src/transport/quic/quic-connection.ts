import type { X509Certificate } from 'node:crypto';
import type { QuicClientSession, QuicServerSession } from '@currentspace/http3';
import { DstError, reasonOf } from '../../errors.js';
import { printable } from '../../printable.js';
import { shortReason } from '../close-reason.js';
import type { CloseReason, Connection, PeerAddress, Stream } from '../transport.js';
import { type EngineStream, QuicEngineStream } from './engine-stream.js';

type EngineSession = QuicClientSession | QuicServerSession;

/** What was shown and verified in the handshake. */
export interface Shown {
  readonly serverCertificateSha256: Buffer;
  /** Export side, where it asks for one. */
  readonly clientCertificate?: X509Certificate | undefined;
}

/** One connection of the engine, of either side, behind the transport seam. */
export class QuicConnection implements Connection {
  readonly transport = 'quic';
  readonly peer: PeerAddress;
  readonly serverCertificateSha256: Buffer;
  readonly clientCertificate?: X509Certificate;
  readonly #session: EngineSession;
  #closed: CloseReason | undefined;
  #closeHandlers: ((reason: CloseReason) => void)[] = [];
  #streamHandler: ((stream: Stream) => void) | undefined;

  constructor(session: EngineSession, peer: PeerAddress, shown: Shown) {
    this.#session = session;
    this.peer = peer;
    this.serverCertificateSha256 = shown.serverCertificateSha256;
    if (shown.clientCertificate !== undefined) this.clientCertificate = shown.clientCertificate;
    // Not always followed by a 'close': the engine would keep the session.
    session.on('error', (error: Error) => this.close(error.message));
    session.on('close', (info: { errorCode: number; reason: string }) =>
      this.#end({
        message: printable(info.reason) || `closed with code ${info.errorCode}`,
        code: info.errorCode,
      }),
    );
    session.on('stream', (stream: unknown) => {
      this.#onStream(new QuicEngineStream(stream as EngineStream));
    });
  }

  openStream(): Stream {
    if (this.#closed !== undefined) {
      throw new DstError('DST_E_CONNECTION_LOST', 'the connection is closed');
    }
    try {
      return new QuicEngineStream(this.#session.openStream() as unknown as EngineStream);
    } catch (cause) {
      // Thrown when the connection is closed, and at the peer's limit of streams.
      throw new DstError('DST_E_CONNECTION_LOST', `no stream could be opened: ${reasonOf(cause)}`, {
        cause,
      });
    }
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
    this.#end({ message: reason });
    // The client's close is a promise, the server's is not; neither has news for us.
    Promise.resolve(this.#session.close(0, shortReason(reason))).catch(() => {});
  }

  keepAlive(): void {
    if (this.#closed !== undefined) return;
    try {
      this.#session.ping();
    } catch (error) {
      // The engine's thread of this connection has ended, and its 'close' is still to come.
      this.close(reasonOf(error));
    }
  }

  #onStream(stream: Stream): void {
    // A client expects none: the engine would keep, without bound, what nobody takes (C3).
    if (this.#streamHandler === undefined) stream.onData(() => {});
    else this.#streamHandler(stream);
  }

  #end(reason: CloseReason): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    const handlers = this.#closeHandlers;
    this.#closeHandlers = [];
    for (const handler of handlers) handler(reason);
  }
}
