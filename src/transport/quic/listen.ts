import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createQuicServer, type QuicServer, type QuicServerSession } from '@currentspace/http3';
import { DstError } from '../../errors.js';
import type { Log } from '../../log.js';
import type { Identity } from '../../trust/identity.js';
import type { Connection, Listener, PeerAddress } from '../transport.js';
import { ENGINE_OPTIONS } from './options.js';
import { usePrivateFolder } from './private-folder.js';
import { QuicConnection } from './quic-connection.js';

export interface QuicListenOptions {
  /** An address of this machine, without brackets; 0.0.0.0 or :: for all of them. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly identity: Identity;
  readonly log: Log;
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
  const listeners: Listener[] = [];
  let { port } = options;
  try {
    for (const host of addressesOf(options.host)) {
      const listener = await listenOn(host, port, options);
      // With port 0 the first address picks the port for all.
      port = listener.address.port;
      listeners.push(listener);
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
  return listeners;
}

function addressesOf(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host];
  const family = host === '::' ? ['IPv4', 'IPv6'] : ['IPv4'];
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family: each, scopeid }) => family.includes(each) && !scopeid)
    .map(({ address }) => address);
}

async function listenOn(host: string, port: number, options: QuicListenOptions): Promise<Listener> {
  const server = createQuicServer({
    ...ENGINE_OPTIONS,
    cert: options.identity.certificatePem,
    key: options.identity.keyPem,
    // Without address validation 200 half-open handshakes shut others out (ENGINES C15).
    disableRetry: false,
  });
  server.on('error', (error: Error) =>
    options.log.warn({ address: host }, `QUIC engine: ${error.message}`),
  );
  try {
    await checkBindable(host, port);
    const address = await server.listen(port, host);
    return new QuicListener(server, { address: host, port: address.port });
  } catch (cause) {
    throw listenError(cause, host, port);
  }
}

class QuicListener implements Listener {
  readonly transport = 'quic';
  readonly address: PeerAddress;
  readonly #server: QuicServer;

  constructor(server: QuicServer, address: PeerAddress) {
    this.#server = server;
    this.address = address;
  }

  onConnection(handler: (connection: Connection) => void): void {
    this.#server.on('session', (session: QuicServerSession) => {
      const peer = { address: session.remoteAddress, port: session.remotePort };
      handler(new QuicConnection(session, peer));
    });
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

function listenError(cause: unknown, host: string, port: number): DstError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const where = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return new DstError(
        'DST_E_ADDRESS_IN_USE',
        `UDP ${where} is in use by another process: stop it, or choose another port with --listen`,
        { cause },
      );
    case 'EADDRNOTAVAIL':
      return new DstError(
        'DST_E_ADDRESS_UNAVAILABLE',
        `${host} is not an address of this machine: see \`ip address\` for those that are`,
        { cause },
      );
    case 'EACCES':
      return new DstError(
        'DST_E_PERMISSION',
        `UDP ${where} needs privileges: ports below 1024 are root's`,
        { cause },
      );
    default:
      return new DstError('DST_E_LISTEN', `cannot listen on UDP ${where}: ${message}`, { cause });
  }
}
