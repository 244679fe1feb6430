/**
 * WebTransport over HTTP/3, by the library's optional binary: its own server, on a UDP socket of
 * Node's.
 */
import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { DstError } from '../../errors.js';
import { CONNECTIONS_MAX } from '../../limits.js';
import { certificateSha256 } from '../../trust/fingerprint.js';
import type { Identity } from '../../trust/identity.js';
import { listenError } from '../listen-error.js';
import { listenOnOwnAddresses } from '../own-addresses.js';
import type { Connection, Listener, PeerAddress } from '../transport.js';
import { type EngineServer, http3Available, loadEngine } from './engine.js';
import { ENGINE_WINDOWS, WEBTRANSPORT_PATH } from './options.js';
import { WebTransportConnection } from './webtransport-connection.js';

export interface Http3ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly identity: Identity;
}

/**
 * Listens on UDP. A wildcard host gives one listener for each address of the machine, since
 * answers from a socket that is bound to the wildcard leave from whichever address routes say.
 */
export async function listenHttp3(options: Http3ListenOptions): Promise<Listener[]> {
  if (!(await http3Available())) {
    throw new DstError(
      'DST_E_HTTP3_UNAVAILABLE',
      'WebTransport over HTTP/3 needs the package @fails-components/webtransport-transport-http3-quiche: install it, or use HTTP/2',
    );
  }
  const { identity } = options;
  return listenOnOwnAddresses(options, (host, port) => listenOn(host, port, identity));
}

async function listenOn(host: string, port: number, identity: Identity): Promise<Listener> {
  const { Http3Server } = await loadEngine();
  const server = new Http3Server({
    ...ENGINE_WINDOWS,
    host,
    port,
    secret: randomBytes(32).toString('hex'),
    cert: identity.certificatePem.toString(),
    privKey: identity.keyPem.toString(),
    maxConnections: CONNECTIONS_MAX,
    // Two processes on one port would take each other's packets.
    quicheNodeSocketOptions: { reuseAddr: false, ipv6Only: isIPv6(host) },
  });
  try {
    await server.createTransportInt();
    server.setRequestCallback(async ({ header }) => ({
      status: header[':path'] === WEBTRANSPORT_PATH ? 200 : 404,
      path: WEBTRANSPORT_PATH,
    }));
    server.transportInt.startServer?.();
    await server.ready;
  } catch (cause) {
    throw listenError('UDP', host, port, cause);
  }
  return new Http3Listener(server, host, certificateSha256(identity.certificate));
}

class Http3Listener implements Listener {
  readonly transport = 'webtransport';
  readonly protocol = 'http/3';
  readonly address: PeerAddress;
  readonly #server: EngineServer;
  readonly #open = new Set<Connection>();
  #handler: ((connection: Connection) => void) | undefined;

  constructor(server: EngineServer, host: string, serverCertificateSha256: Buffer) {
    this.#server = server;
    this.address = { address: host, port: server.address()?.port ?? 0 };
    const onSession = server.onHttpWTSessionVisitor.bind(server);
    server.onHttpWTSessionVisitor = (event) => {
      onSession(event);
      const connection = new WebTransportConnection(event.session.jsobj, {
        protocol: 'http/3',
        peer: parsePeer(event.peerAddress),
        serverCertificateSha256,
        // The library has neither pings nor a way to end what carries a session (ENGINES W10).
        ping: () => {},
        release: () => {},
      });
      this.#open.add(connection);
      connection.onClose(() => this.#open.delete(connection));
      this.#handler?.(connection);
    };
  }

  onConnection(handler: (connection: Connection) => void): void {
    this.#handler = handler;
  }

  async close(): Promise<void> {
    for (const connection of this.#open) connection.close('the export is going away');
    this.#server.stopServer();
    await this.#server.closed;
  }
}

/** "ADDRESS:PORT", with brackets around an IPv6 address, as the library tells it. */
function parsePeer(text: string): PeerAddress {
  const colon = text.lastIndexOf(':');
  const address = text.slice(0, colon).replace(/^\[(?:::ffff:(?=.*\.))?|\]$/g, '');
  return { address, port: Number(text.slice(colon + 1)) };
}
