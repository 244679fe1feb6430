import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { connect, type TLSSocket } from 'node:tls';
import { DstError } from '../../errors.js';
import { CERTIFICATE_CHAIN_LENGTH_MAX } from '../../limits.js';
import { type ServerTrust, verifyServerChain } from '../../trust/server-trust.js';
import type { PeerAddress } from '../transport.js';
import { HTTP2_ALPN } from './options.js';

export interface AddressDialOptions {
  /** What the export is called: the name that its certificate must have. */
  readonly host: string;
  readonly peer: PeerAddress;
  readonly trust: ServerTrust;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Begins a TLS connection for HTTP/2; `verified` tells what comes of it. */
export function startTls({ host, peer }: AddressDialOptions): TLSSocket {
  const socket = connect({
    host: peer.address,
    port: peer.port,
    ALPNProtocols: [HTTP2_ALPN],
    minVersion: 'TLSv1.3',
    // `verified` decides, by our own rules, before anything is sent.
    rejectUnauthorized: false,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  // Small frames must not wait for the ack of the last one.
  socket.setNoDelay(true);
  // Also after the handshake: whoever uses the socket hears of its end otherwise.
  socket.on('error', () => {});
  if (!isZoneHere(peer.address)) socket.destroy(noSuchZone());
  return socket;
}

/** Node (26.10) never tells of a zone that this machine lacks: the socket would stay opening. */
function isZoneHere(address: string): boolean {
  const [, zone] = address.split('%');
  return zone === undefined || /^\d+$/.test(zone) || zone in networkInterfaces();
}

function noSuchZone(): NodeJS.ErrnoException {
  return Object.assign(new Error('connect EINVAL'), { code: 'EINVAL', syscall: 'connect' });
}

/**
 * Waits for the handshake and verifies the export's certificate, which is returned; nothing
 * but TLS's own messages has been sent by then. Rejects with DST_E_REFUSED, DST_E_UNREACHABLE,
 * DST_E_HANDSHAKE (something else listens there), or with what `verifyServerChain` throws.
 */
export async function verified(
  socket: TLSSocket,
  options: AddressDialOptions,
): Promise<X509Certificate> {
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', (error) => reject(socketError(options, error)));
    socket.once('close', () => reject(notAnExport(options, 'it ended the connection')));
  });
  const chain = chainOf(socket);
  const [leaf] = chain;
  verifyServerChain(options.trust, chain, options.host, new Date());
  if (leaf === undefined || socket.alpnProtocol !== HTTP2_ALPN) {
    throw notAnExport(options, 'it does not speak HTTP/2');
  }
  return leaf;
}

/** "HOST:PORT" as it is told, with brackets where there must be some. */
export function where({ host, peer }: AddressDialOptions): string {
  return `${host.includes(':') ? `[${host}]` : host}:${peer.port}`;
}

export function unreachable(options: AddressDialOptions, kind: 'TCP' | 'UDP'): DstError {
  const seconds = Math.round(options.timeoutMs / 100) / 10;
  return new DstError(
    'DST_E_UNREACHABLE',
    `${where(options)} did not answer within ${seconds} s: check that the export runs there and that ${kind} port ${options.peer.port} is open on the way`,
  );
}

/** Something is there, and it is no export. */
export function notAnExport(options: AddressDialOptions, why: string, cause?: unknown): DstError {
  const { host, peer } = options;
  return new DstError(
    'DST_E_HANDSHAKE',
    `something else than an export listens on TCP port ${peer.port} of ${host} (${why}): check the address and the port`,
    { cause },
  );
}

/** The certificates that the export showed, its own first. */
function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < CERTIFICATE_CHAIN_LENGTH_MAX) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

function socketError(options: AddressDialOptions, error: NodeJS.ErrnoException): DstError {
  const { host, peer } = options;
  if (error.code === 'ECONNREFUSED') {
    return new DstError(
      'DST_E_REFUSED',
      `nothing listens on TCP port ${peer.port} of ${host}: start the export there, or check the port`,
      { cause: error },
    );
  }
  if (error.syscall === 'connect') {
    return new DstError(
      'DST_E_UNREACHABLE',
      `this machine has no way to ${where(options)} (${error.code}): check its network and routes`,
      { cause: error },
    );
  }
  return notAnExport(options, tlsReason(error), error);
}

function tlsReason({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return 'it ended the connection';
    case 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL':
    case 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION':
      return 'it does not speak HTTP/2 with TLS 1.3';
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return 'it does not speak TLS';
    default:
      return `TLS failed with ${code ?? message}`;
  }
}
