import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { invariant } from '../../errors.js';
import { HTTP2_WINDOW_BYTES } from '../../limits.js';
import type { Log } from '../../log.js';
import { certificateSha256 } from '../../trust/fingerprint.js';
import type { Identity } from '../../trust/identity.js';
import { listenError } from '../listen-error.js';
import type { Connection, Listener, PeerAddress } from '../transport.js';
import { type EngineServer, loadEngine } from './engine.js';
import { attendCapsules, carrierOver } from './http2-session.js';
import { OpeningSockets } from './opening-sockets.js';
import { ENGINE_WINDOWS, HTTP2_OPTIONS, WEBTRANSPORT_PATH } from './options.js';
import { WebTransportConnection } from './webtransport-connection.js';

export interface Http2ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly identity: Identity;
  readonly log: Log;
}

/**
 * Listens on TCP. The server is Node's, with our limits; the library's own, which has none of
 * them, never listens and is handed the one request that each connection may make.
 */
export async function listenHttp2(options: Http2ListenOptions): Promise<Listener> {
  const { host, port, identity } = options;
  const engine = await engineServer(identity);
  const server = createSecureServer({
    ...HTTP2_OPTIONS,
    cert: identity.certificatePem,
    key: identity.keyPem,
    minVersion: 'TLSv1.3',
  });
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (cause) {
    throw listenError('TCP', host, port, cause);
  }
  return new Http2Listener(server, engine, options);
}

/** The library's server, without a port. */
async function engineServer(identity: Identity): Promise<EngineServer> {
  const { Http2Server } = await loadEngine();
  const server = new Http2Server({
    ...ENGINE_WINDOWS,
    port: 0,
    host: 'localhost',
    secret: randomBytes(32).toString('hex'),
    cert: identity.certificatePem,
    privKey: identity.keyPem,
  });
  await server.createTransportInt();
  // Without it sessions stall after 16 KiB (1.6.8, ENGINES W6).
  server.setRequestCallback(async () => ({ status: 200, path: WEBTRANSPORT_PATH }));
  return server;
}

class Http2Listener implements Listener {
  readonly transport = 'webtransport';
  readonly protocol = 'http/2';
  readonly address: PeerAddress;
  readonly #server: Http2SecureServer;
  readonly #engine: EngineServer;
  readonly #log: Log;
  readonly #serverCertificateSha256: Buffer;
  readonly #opening = new OpeningSockets();
  /** Connections of HTTP/2, with their sockets, and their peers, which a socket forgets. */
  readonly #open = new Map<Http2Session, { socket: Socket; peer: PeerAddress }>();
  readonly #accepted = new WeakSet<Http2Session>();
  #handler: ((connection: Connection) => void) | undefined;

  constructor(server: Http2SecureServer, engine: EngineServer, options: Http2ListenOptions) {
    this.#server = server;
    this.#engine = engine;
    this.#log = options.log;
    this.address = { address: options.host, port: (server.address() as AddressInfo).port };
    this.#serverCertificateSha256 = certificateSha256(options.identity.certificate);
    server.on('connection', (socket: Socket) => this.#onSocket(socket));
    server.on('error', (error) => this.#log.warn({ ...this.address }, `TCP: ${error.message}`));
    server.on('session', (http2) => this.#onSession(http2));
    server.on('stream', (stream, headers) => this.#onRequest(stream, headers));
    this.#followEngine();
  }

  onConnection(handler: (connection: Connection) => void): void {
    this.#handler = handler;
  }

  /** Also ends the connections; those that were ended before get their time to say so. */
  async close(): Promise<void> {
    this.#opening.destroyAll();
    for (const [http2, { socket }] of this.#open) {
      if (!http2.closed) socket.destroy();
    }
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #onSocket(socket: Socket): void {
    // Small frames must not wait for the ack of the last one.
    socket.setNoDelay(true);
    this.#opening.add(socket);
  }

  #onSession(http2: ServerHttp2Session): void {
    const { remoteAddress, remotePort } = http2.socket;
    const socket = this.#opening.below(http2.socket);
    if (remoteAddress === undefined || remotePort === undefined || socket === undefined) {
      http2.destroy();
      return;
    }
    const peer = { address: plain(remoteAddress), port: remotePort };
    this.#open.set(http2, { socket, peer });
    http2.once('close', () => this.#open.delete(http2));
    http2.setLocalWindowSize(HTTP2_WINDOW_BYTES);
  }

  #onRequest(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on('error', () => {});
    const http2 = stream.session;
    if (http2 === undefined || http2.destroyed) return;
    if (!isForUs(headers) || this.#accepted.has(http2)) {
      stream.respond({ ':status': 404 }, { endStream: true });
      return;
    }
    this.#accepted.add(http2);
    this.#opening.opened(http2.socket);
    // None of the peer's other headers: the library parses some.
    const header = {
      ':method': 'CONNECT',
      ':protocol': 'webtransport',
      ':path': WEBTRANSPORT_PATH,
    };
    this.#engine.transportInt.serverInt?.emit('stream', stream, header);
  }

  /** Takes each session as soon as the library has made it. */
  #followEngine(): void {
    const { serverInt } = this.#engine.transportInt;
    invariant(serverInt !== undefined, 'the WebTransport library changed its HTTP/2 server');
    const onSession = this.#engine.onHttpWTSessionVisitor.bind(this.#engine);
    this.#engine.onHttpWTSessionVisitor = (event) => {
      onSession(event);
      const { jsobj: session, stream, capsParser } = event.session;
      const http2 = stream?.session;
      const open = http2 && this.#open.get(http2);
      invariant(http2 !== undefined && open !== undefined, 'a session without a connection');
      const carrier = carrierOver(http2, { ...open, sha256: this.#serverCertificateSha256 });
      const connection = new WebTransportConnection(session, carrier);
      attendCapsules(connection, capsParser);
      this.#handler?.(connection);
    };
  }
}

function isForUs(headers: IncomingHttpHeaders): boolean {
  return (
    headers[':method'] === 'CONNECT' &&
    headers[':protocol'] === 'webtransport' &&
    headers[':path'] === WEBTRANSPORT_PATH
  );
}

/** An IPv4 address as such, also where it came to an IPv6 socket. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
