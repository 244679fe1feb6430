import type { X509Certificate } from 'node:crypto';

/**
 * The seam below which QUIC, WebTransport and the in-memory pair of the tests are alike.
 *
 * A transport carries ordered bytes on bidirectional streams that the client opens. It
 * promises nothing about liveness: the engines behind it can stall silently, so whoever
 * uses it sets a deadline for each answer and, past it, dials a new connection. Streams
 * are never ended one by one; frames have lengths, and the connection ends them all.
 */

export interface PeerAddress {
  readonly address: string;
  readonly port: number;
}

/** One bidirectional, reliable, ordered flow of bytes. */
export interface Stream {
  /** Unique within its connection. */
  readonly id: number;
  /**
   * Sends the pieces in order. `taken` is called once the transport has copied them, when
   * their buffers may be reused; it is called too if the stream dies. Never throws: a dead
   * stream swallows what it is given, and its connection reports the death.
   */
  write(pieces: readonly Buffer[], taken?: () => void): void;
  /** Bytes accepted by `write` and not yet taken. */
  readonly queuedBytes: number;
  /**
   * Sets who gets the bytes. They may be kept (the transport never reuses them), but a small
   * piece may pin a much larger buffer. Bytes that arrived before are delivered at once.
   */
  onData(handler: (chunk: Buffer) => void): void;
}

/** Why a connection ended, in words for a log; `code` is the peer's, where it gave one. */
export interface CloseReason {
  readonly message: string;
  readonly code?: number;
}

export interface Connection {
  readonly transport: 'quic' | 'webtransport' | 'memory';
  /** Over WebTransport: what that runs on, TCP ('http/2') or UDP ('http/3'). */
  readonly protocol?: 'http/2' | 'http/3';
  readonly peer: PeerAddress;
  /** SHA-256 of the certificate that the export showed, as its client or the export sees it. */
  readonly serverCertificateSha256?: Buffer;
  /**
   * On an export that asks for one: what the client showed. It is set only where the transport
   * has verified it, and that the client has its key.
   */
  readonly clientCertificate?: X509Certificate;
  /** Client side only. Throws a `DstError` when the peer allows no more or it is closed. */
  openStream(): Stream;
  /** Export side: called for each stream that the peer opens. */
  onStream(handler: (stream: Stream) => void): void;
  /** Called once, when the connection has ended for whatever reason; at once if it has. */
  onClose(handler: (reason: CloseReason) => void): void;
  /** Ends the connection and its streams. What was queued may be lost. Safe to call again. */
  close(reason: string): void;
  /** Keeps the path alive at the transport's own level, where it can. */
  keepAlive(): void;
}

/** What bounds one attempt to connect. */
export interface DialLimits {
  /** For the attempt as a whole, ms; CONNECT_TIMEOUT_MS unless given. */
  readonly timeoutMs?: number;
  /**
   * Aborted when the connection is not wanted any more: the attempt then rejects at once with
   * DST_E_ABORTED and leaves nothing open. A connection that was made just before is the
   * caller's to close.
   */
  readonly signal?: AbortSignal;
  /** Counts up from 0: an export with several addresses is tried at another one first each time. */
  readonly attempt?: number;
  /** The way of this connection is to be taken: its protocol, and the address of its peer. */
  readonly like?: Connection;
}

export interface Listener {
  readonly address: PeerAddress;
  readonly transport: Connection['transport'];
  /** As its connections'. */
  readonly protocol?: NonNullable<Connection['protocol']>;
  onConnection(handler: (connection: Connection) => void): void;
  close(): Promise<void>;
}
