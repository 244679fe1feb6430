import type { X509Certificate } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { connectQuic, type QuicClientSession } from '@currentspace/http3';
import { DstError } from '../../errors.js';
import { CONNECT_TIMEOUT_MS } from '../../limits.js';
import { describeHandshakeFailure } from '../../trust/handshake-failure.js';
import { type ServerTrust, verifyServerChain } from '../../trust/server-trust.js';
import { parseSessionTicketChain } from '../../trust/session-ticket.js';
import type { Connection, PeerAddress } from '../transport.js';
import { ENGINE_OPTIONS } from './options.js';
import { usePrivateFolder } from './private-folder.js';
import { QuicConnection } from './quic-connection.js';
import { refusedPort } from './refused-port.js';

export interface QuicDialOptions {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly trust: ServerTrust;
  /** For all addresses of the name together, ms. */
  readonly timeoutMs?: number;
}

/** Sent as the server's name where there is none to send: an address is not allowed there. */
const NAMELESS = 'address.invalid';

/**
 * Connects to an export and verifies its certificate before anything of ours is sent. The
 * addresses of a name are asked for anew each time, and tried in turn.
 *
 * Rejects with DST_E_RESOLVE, DST_E_REFUSED, DST_E_UNREACHABLE (no answer in time), or what
 * `verifyServerChain` and `describeHandshakeFailure` say.
 */
export async function dialQuic(options: QuicDialOptions): Promise<Connection> {
  usePrivateFolder();
  const addresses = await resolve(options.host);
  const deadlineMs = performance.now() + (options.timeoutMs ?? CONNECT_TIMEOUT_MS);
  let failure: unknown;
  for (const [index, address] of addresses.entries()) {
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0) break;
    try {
      const peer = { address, port: options.port };
      return await dialAddress(options, peer, leftMs / (addresses.length - index));
    } catch (error) {
      failure = error;
      // Another address of the same name would show the same certificate.
      if (error instanceof DstError && !MAY_TRY_NEXT.has(error.code)) throw error;
    }
  }
  throw failure ?? unreachable(options, CONNECT_TIMEOUT_MS);
}

const MAY_TRY_NEXT = new Set<string>(['DST_E_UNREACHABLE', 'DST_E_REFUSED']);

async function resolve(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => address);
  } catch (cause) {
    throw new DstError(
      'DST_E_RESOLVE',
      `the name "${host}" does not resolve: check it, or this machine's name service`,
      { cause },
    );
  }
}

async function dialAddress(
  options: QuicDialOptions,
  peer: PeerAddress,
  timeoutMs: number,
): Promise<Connection> {
  const { host, trust } = options;
  // The engine matches names of authorities' certificates, and neither addresses (C13) nor a
  // pinned leaf. What it cannot check is checked here alone, the rest in both places.
  const engineVerifies = trust.kind === 'authorities' && isIP(host) === 0;
  const session = connectQuic(
    { ...peer, servername: isIP(host) === 0 ? host : NAMELESS },
    {
      ...ENGINE_OPTIONS,
      connectTimeoutMs: Math.max(1, Math.floor(timeoutMs)),
      rejectUnauthorized: engineVerifies,
      ...(engineVerifies ? { ca: authoritiesPem(trust.certificates) } : {}),
    },
  );
  session.on('error', () => {});
  const probe = refusedPort(peer);
  try {
    const chain = await Promise.race([
      handshake(session, options, timeoutMs),
      probe.refused.then(() => {
        throw refused(options);
      }),
    ]);
    verifyServerChain(trust, chain, host, new Date());
    await ready(session, options);
    return new QuicConnection(session, peer, fingerprint(chain));
  } catch (error) {
    session.close(0, 'the client gave up').catch(() => {});
    throw error;
  } finally {
    probe.stop();
  }
}

/**
 * Waits for the end of the handshake and for the session ticket, from which the certificates
 * that the export showed are read: the engine has no other way to tell them. The ticket is
 * made by our own TLS stack after it checked that the export holds the certificate's key.
 */
function handshake(
  session: QuicClientSession,
  options: QuicDialOptions,
  timeoutMs: number,
): Promise<X509Certificate[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(unreachable(options, timeoutMs)), timeoutMs);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      try {
        act();
      } catch (error) {
        reject(error as Error);
      }
    };
    session.once('sessionTicket', (ticket: Buffer) =>
      settle(() => resolve(parseSessionTicketChain(ticket))),
    );
    session.once('close', (info: { errorCode: number }) =>
      settle(() => {
        const by = session.handshakeComplete ? 'peer' : 'us';
        reject(describeHandshakeFailure(info.errorCode, options.host, by));
      }),
    );
    // A TLS failure is told better by the 'close' event, which has come by then if it comes.
    session
      .ready()
      .catch((error: Error) =>
        settle(() =>
          reject(isTimeout(error) ? unreachable(options, timeoutMs) : unstarted(options, error)),
        ),
      );
  });
}

/** The export may end the connection between its ticket and this. */
async function ready(session: QuicClientSession, options: QuicDialOptions): Promise<void> {
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

function authoritiesPem(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join('');
}

function fingerprint(chain: readonly X509Certificate[]): Buffer {
  const [leaf] = chain;
  return Buffer.from((leaf?.fingerprint256 ?? '').replaceAll(':', ''), 'hex');
}

function where({ host, port }: QuicDialOptions): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function unreachable(options: QuicDialOptions, timeoutMs: number): DstError {
  return new DstError(
    'DST_E_UNREACHABLE',
    `${where(options)} did not answer within ${Math.round(timeoutMs / 100) / 10} s: check that the export runs there and that UDP port ${options.port} is open on the way`,
  );
}

/** As where this machine has no socket or no route of the address's kind. */
function unstarted(options: QuicDialOptions, cause: Error): DstError {
  return new DstError(
    'DST_E_UNREACHABLE',
    `cannot send to ${where(options)}: ${cause.message}; check this machine's network`,
    { cause },
  );
}

function refused(options: QuicDialOptions): DstError {
  return new DstError(
    'DST_E_REFUSED',
    `nothing listens on UDP port ${options.port} of ${options.host}: start the export there, or check the port`,
  );
}
