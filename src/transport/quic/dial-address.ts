import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connectQuic, type QuicClientSession } from '@currentspace/http3';
import { DstError, invariant, reasonOf } from '../../errors.js';
import { certificateSha256 } from '../../trust/fingerprint.js';
import { describeHandshakeFailure } from '../../trust/handshake-failure.js';
import type { Identity } from '../../trust/identity.js';
import { isRoot } from '../../trust/roots.js';
import { type ServerTrust, verifyServerChain } from '../../trust/server-trust.js';
import { parseSessionTicketChain } from '../../trust/session-ticket.js';
import type { Connection, PeerAddress } from '../transport.js';
import { throwIfAborted, waitFor } from '../wait-for.js';
import { ENGINE_OPTIONS, toPem } from './options.js';
import { type PortFailure, probePort } from './port-probe.js';
import { QuicConnection } from './quic-connection.js';
import { packetKeeper } from './whole-packets.js';

export interface AddressDialOptions {
  /** What the export is called: the name that its certificate must have. */
  readonly host: string;
  readonly peer: PeerAddress;
  readonly trust: ServerTrust;
  /** What this client shows where the export asks for a certificate. */
  readonly identity: Identity | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Sent as the server's name where there is none to send: an address is not allowed there. */
const NAMELESS = 'address.invalid';

/**
 * One attempt at one address, as `dialQuic` makes it. Rejects likewise, after it has told the
 * engine to end the connection: its thread and its socket go within milliseconds.
 */
export async function dialAddress(options: AddressDialOptions): Promise<Connection> {
  const { host, peer, trust, signal, timeoutMs } = options;
  const keepPacketsWhole = await packetKeeper();
  throwIfAborted(signal);
  const session = startSession(options);
  // The engine makes its socket later in this turn, and sends large packets after the handshake.
  setImmediate(keepPacketsWhole);
  const probe = probePort(peer);
  const failed = probe.failed.then((failure) => {
    throw portError(options, failure);
  });
  try {
    const connected = handshake(session, options).then(async (chain) => {
      verifyServerChain(trust, chain, host, new Date());
      await ready(session, options);
      return chain;
    });
    const chain = await waitFor(Promise.race([connected, failed]), {
      timeoutMs,
      signal,
      late: () => unreachable(options),
    });
    return new QuicConnection(session, peer, {
      serverCertificateSha256: certificateSha256(leafOf(chain)),
    });
  } catch (error) {
    session.close(0, 'the client gave up').catch(() => {});
    throw error;
  } finally {
    probe.stop();
  }
}

/**
 * What the engine is to verify the export's certificate by; undefined where it cannot. It matches
 * names of authorities' certificates, and neither addresses (C13) nor a pinned leaf, nor does it
 * believe an authority that is no root. What it cannot check is checked here alone, the rest in
 * both places.
 */
function engineAuthorities({ host, trust }: AddressDialOptions): string | undefined {
  if (trust.kind === 'pin' || isIP(host) !== 0) return undefined;
  return trust.certificates.every(isRoot) ? toPem(trust.certificates) : undefined;
}

function startSession(options: AddressDialOptions): QuicClientSession {
  const { host, peer, identity, timeoutMs } = options;
  const ca = engineAuthorities(options);
  try {
    const session = connectQuic(
      { ...peer, servername: isIP(host) === 0 ? host : NAMELESS },
      {
        ...ENGINE_OPTIONS,
        connectTimeoutMs: Math.max(1, Math.floor(timeoutMs)),
        rejectUnauthorized: ca !== undefined,
        ...(ca === undefined ? {} : { ca }),
        ...(identity === undefined ? {} : { cert: identity.certificatePem, key: identity.keyPem }),
      },
    );
    session.on('error', () => {});
    return session;
  } catch (error) {
    throw unstarted(options, error);
  }
}

/**
 * Waits for the end of the handshake and for the session ticket, from which the certificates
 * that the export showed are read: the engine has no other way to tell them. The ticket is
 * made by our own TLS stack after it checked that the export holds the certificate's key.
 */
function handshake(
  session: QuicClientSession,
  options: AddressDialOptions,
): Promise<X509Certificate[]> {
  return new Promise((resolve, reject) => {
    session.once('sessionTicket', (ticket: Buffer) => {
      try {
        resolve(parseSessionTicketChain(ticket));
      } catch (error) {
        reject(error);
      }
    });
    session.once('close', (info: { errorCode: number }) => {
      // The export's word may come before that of a handshake which we completed.
      const byUs = !session.handshakeComplete && engineAuthorities(options) !== undefined;
      const by = byUs ? 'us' : 'peer';
      reject(describeHandshakeFailure(info.errorCode, options.host, by));
    });
    // A TLS failure is told better by the 'close' event, which has come by then if it comes.
    session
      .ready()
      .catch((error: Error) =>
        reject(isTimeout(error) ? unreachable(options) : unstarted(options, error)),
      );
  });
}

/** The export may end the connection between its ticket and this. */
async function ready(session: QuicClientSession, options: AddressDialOptions): Promise<void> {
  try {
    await session.ready();
  } catch (cause) {
    throw new DstError(
      'DST_E_CONNECTION_LOST',
      `${where(options)} ended the connection at once: see the export's log`,
      { cause },
    );
  }
}

function isTimeout(error: Error): boolean {
  return error.message.includes('timed out');
}

function leafOf([leaf]: readonly X509Certificate[]): X509Certificate {
  invariant(leaf !== undefined, 'a chain that was verified has a first certificate');
  return leaf;
}

function where({ host, peer }: AddressDialOptions): string {
  return `${host.includes(':') ? `[${host}]` : host}:${peer.port}`;
}

function unreachable(options: AddressDialOptions): DstError {
  const seconds = Math.round(options.timeoutMs / 100) / 10;
  return new DstError(
    'DST_E_UNREACHABLE',
    `${where(options)} did not answer within ${seconds} s: check that the export runs there and that UDP port ${options.peer.port} is open on the way`,
  );
}

/** As where this machine has no socket of the address's kind, or the engine no use for a key. */
function unstarted(options: AddressDialOptions, cause: unknown): DstError {
  const reason = reasonOf(cause);
  return new DstError(
    'DST_E_UNREACHABLE',
    `cannot start a connection to ${where(options)}: ${reason}; check this machine's network, and the client's certificate where it has one`,
    { cause },
  );
}

function portError(options: AddressDialOptions, failure: PortFailure): DstError {
  const { host, peer } = options;
  return failure === 'closed'
    ? new DstError(
        'DST_E_REFUSED',
        `nothing listens on UDP port ${peer.port} of ${host}: start the export there, or check the port`,
      )
    : new DstError(
        'DST_E_UNREACHABLE',
        `this machine has no way to ${where(options)}: check its network and routes`,
      );
}
