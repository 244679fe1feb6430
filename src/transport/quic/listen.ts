import type { X509Certificate } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { createQuicServer, type QuicServer, type QuicServerSession } from '@currentspace/http3';
import { DstError } from '../../errors.js';
import type { Log } from '../../log.js';
import { type ClientTrust, verifyClientChain } from '../../trust/client-trust.js';
import { certificateSha256 } from '../../trust/fingerprint.js';
import type { Identity } from '../../trust/identity.js';
import { listenError } from '../listen-error.js';
import { listenOnOwnAddresses } from '../own-addresses.js';
import type { Connection, Listener, PeerAddress } from '../transport.js';
import { onHandshakeFailure } from './handshake-failures.js';
import { ENGINE_OPTIONS, toPem } from './options.js';
import { usePrivateFolder } from './private-folder.js';
import { QuicConnection } from './quic-connection.js';
import { packetKeeper } from './whole-packets.js';

export interface QuicListenOptions {
  /** An address of this machine, without brackets; 0.0.0.0 or :: for all of them. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly identity: Identity;
  /** Set where every client must show a certificate. */
  readonly clients?: ClientDemands | undefined;
  readonly log: Log;
}

export interface ClientDemands {
  readonly trust: ClientTrust;
  /** A client did not get through its handshake, or its certificate did not do; for the log. */
  refused(peer: PeerAddress, why: string): void;
}

/**
 * Listens for QUIC connections. A wildcard host gives one listener for each address of the
 * machine: bound to the wildcard itself, the engine answers clients of a second address from
 * the first, and they time out (ENGINES C9). Addresses that come later are not listened on.
 *
 * Rejects with DST_E_ADDRESS_IN_USE, DST_E_ADDRESS_UNAVAILABLE, DST_E_PERMISSION or
 * DST_E_LISTEN; then nothing is left open.
 */
export async function listenQuic(options: QuicListenOptions): Promise<Listener[]> {
  usePrivateFolder();
  return listenOnOwnAddresses(options, (host, port) => listenOn(host, port, options));
}

async function listenOn(host: string, port: number, options: QuicListenOptions): Promise<Listener> {
  const { identity, clients } = options;
  const server = createQuicServer({
    ...ENGINE_OPTIONS,
    cert: identity.certificatePem,
    key: identity.keyPem,
    // Without address validation 200 half-open handshakes shut others out (ENGINES C15).
    disableRetry: false,
    ...(clients === undefined
      ? {}
      : { ca: toPem(clients.trust.authorities), clientAuth: 'require' as const }),
  });
  if (clients !== undefined) onHandshakeFailure(server, clients.refused);
  server.on('error', (error: Error) =>
    options.log.warn({ address: host }, `QUIC engine: ${error.message}`),
  );
  try {
    await checkBindable(host, port);
    const keepPacketsWhole = await packetKeeper();
    const address = await server.listen(port, host);
    keepPacketsWhole();
    return new QuicListener(server, { address: host, port: address.port }, options);
  } catch (cause) {
    throw listenError('UDP', host, port, cause);
  }
}

class QuicListener implements Listener {
  readonly transport = 'quic';
  readonly address: PeerAddress;
  readonly #server: QuicServer;
  readonly #serverCertificateSha256: Buffer;
  readonly #clients: ClientDemands | undefined;

  constructor(server: QuicServer, address: PeerAddress, options: QuicListenOptions) {
    this.#server = server;
    this.address = address;
    this.#serverCertificateSha256 = certificateSha256(options.identity.certificate);
    this.#clients = options.clients;
  }

  onConnection(handler: (connection: Connection) => void): void {
    this.#server.on('session', (session: QuicServerSession) => {
      const peer = { address: session.remoteAddress, port: session.remotePort };
      const shown = {
        serverCertificateSha256: this.#serverCertificateSha256,
        clientCertificate: this.#verified(session, peer),
      };
      handler(new QuicConnection(session, peer, shown));
    });
  }

  /** The engine has verified it; but it knows less of what a certificate may be used for. */
  #verified(session: QuicServerSession, peer: PeerAddress): X509Certificate | undefined {
    if (this.#clients === undefined) return undefined;
    const { trust, refused } = this.#clients;
    try {
      return verifyClientChain(trust, session.getPeerCertificateChain(), new Date());
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      refused(peer, error.message);
      return undefined;
    }
  }

  async close(): Promise<void> {
    await this.#server.close();
  }
}

/**
 * Binds and lets go of the address with a socket of Node's. An engine (0.9.0) that fails to
 * bind leaves a thread behind which keeps the process alive, and has no way to end it.
 */
async function checkBindable(host: string, port: number): Promise<void> {
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', ipv6Only: isIPv6(host) });
  try {
    socket.bind(port, host);
    await once(socket, 'listening');
  } finally {
    socket.close();
  }
}
