import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { invariant } from '../../errors.js';
import { CAPSULE_KEPT_BYTES_MAX, WEBTRANSPORT_CLOSE_LINGER_MS } from '../../limits.js';
import type { Connection, PeerAddress } from '../transport.js';
import type { CapsuleParser } from './engine.js';
import type { Carrier } from './webtransport-connection.js';

export interface Http2Below {
  /** What the HTTP/2 connection runs on, or what that runs on. */
  readonly socket: Socket;
  readonly peer: PeerAddress;
  /** Of the export's certificate. */
  readonly sha256: Buffer;
}

/** What carries a session of the library that runs over an HTTP/2 connection. */
export function carrierOver(http2: Http2Session, { socket, peer, sha256 }: Http2Below): Carrier {
  return {
    protocol: 'http/2',
    peer,
    serverCertificateSha256: sha256,
    ping: () => {
      if (!http2.closed && !http2.destroyed) http2.ping(() => {});
    },
    release: () => endSoon(http2, socket),
  };
}

/**
 * Ends the connection once what was queued, with the reason of the end, has been sent; or at
 * the end of a time, as a peer that is gone takes nothing any more. Then it is the socket that
 * must be destroyed: an HTTP/2 connection that was told to close leaves it open until then.
 */
function endSoon(http2: Http2Session, socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), WEBTRANSPORT_CLOSE_LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
  if (socket.destroyed) clearTimeout(timer);
  if (!http2.destroyed) http2.close();
}

/** What is done to the capsules of each connection, of either side. */
export function attendCapsules(connection: Connection, parser: CapsuleParser | undefined): void {
  invariant(
    typeof parser?.parseData === 'function' && typeof parser.drainWrites === 'function',
    'the WebTransport library changed its parser',
  );
  guardReads(connection, parser);
  corkWrites(parser);
}

/**
 * The library (1.6.8) writes the head and the bytes of each capsule by themselves. Handed to
 * HTTP/2 together, with those of other streams, they cost a third less of the CPU's time.
 */
function corkWrites(parser: CapsuleParser): void {
  const { stream } = parser;
  const drainWrites = parser.drainWrites.bind(parser);
  parser.drainWrites = () => {
    stream.cork();
    try {
      drainWrites();
    } finally {
      stream.uncork();
    }
  };
}

/**
 * The library (1.6.8) reads capsules in an event handler, so that what it throws would end the
 * process; some that a stranger can send make it throw. It also keeps a capsule of another kind
 * than stream data until it has come whole, up to four times its connection window, and copies
 * it at each chunk.
 */
function guardReads(connection: Connection, parser: CapsuleParser): void {
  const parse = parser.parseData.bind(parser);
  const stop = (why: string) => {
    parser.parseData = () => {};
    connection.close(why);
  };
  parser.parseData = (bytes) => {
    try {
      parse(bytes);
    } catch (error) {
      stop(`the peer sent a capsule that makes no sense: ${String(error)}`);
      return;
    }
    const keptBytes = parser.saveddata?.length ?? 0;
    if (keptBytes > CAPSULE_KEPT_BYTES_MAX) stop('the peer sent a capsule that is too large');
  };
}
