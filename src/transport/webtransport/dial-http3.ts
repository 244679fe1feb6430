import type { X509Certificate } from 'node:crypto';
import { DstError } from '../../errors.js';
import { certificateSha256 } from '../../trust/fingerprint.js';
import { verifyServerChain } from '../../trust/server-trust.js';
import type { Connection } from '../transport.js';
import { throwIfAborted, waitFor } from '../wait-for.js';
import { type AddressDialOptions, unreachable, where } from './dial-tls.js';
import { type EngineClient, type EngineWebTransport, loadEngine } from './engine.js';
import { expectChain } from './http3-trust.js';
import { ENGINE_WINDOWS, WEBTRANSPORT_PATH } from './options.js';
import { WebTransportConnection } from './webtransport-connection.js';

/** What came of the check of the export's certificate. */
interface Verdict {
  leaf?: X509Certificate;
  refusal?: unknown;
}

/**
 * One attempt at one address over UDP, by the library's optional binary, which must be there.
 * The export's certificate is verified within TLS's handshake, before anything else is sent.
 *
 * Rejects with what `verifyServerChain` throws, with DST_E_HANDSHAKE (no HTTP/3, or no
 * WebTransport), DST_E_UNREACHABLE past the time, or DST_E_ABORTED.
 */
export async function dialHttp3(options: AddressDialOptions): Promise<Connection> {
  const { host, peer, trust, timeoutMs, signal } = options;
  const { WebTransport } = await loadEngine();
  throwIfAborted(signal);
  const verdict: Verdict = {};
  const forget = expectChain(peer, (chain) => {
    try {
      verifyServerChain(trust, chain, host, new Date());
      verdict.leaf = chain[0] as X509Certificate;
    } catch (error) {
      verdict.refusal = error;
      throw error;
    }
  });
  const address = peer.address.includes(':') ? `[${peer.address}]` : peer.address;
  const transport = new WebTransport(`https://${address}:${peer.port}${WEBTRANSPORT_PATH}`, {
    ...ENGINE_WINDOWS,
    // With brackets, as in a URL, it would not be taken for an address.
    host: peer.address,
    requireUnreliable: true,
    quicConnectTimeout: Math.ceil(timeoutMs),
    webTransportConnectTimeout: Math.ceil(timeoutMs),
  });
  const end = prepareEnd(transport);
  try {
    await waitFor(transport.sessionint.ready, {
      timeoutMs,
      signal,
      late: () => unreachable(options, 'UDP'),
    });
    return connectionOf(transport, options, verdict, end);
  } catch (error) {
    transport.sessionint.ready.catch(() => {});
    transport.sessionint.closed.catch(() => {});
    end();
    if (error instanceof DstError) throw error;
    throw verdict.refusal ?? failed(options, error);
  } finally {
    forget();
  }
}

function connectionOf(
  { sessionint }: EngineWebTransport,
  { peer, host }: AddressDialOptions,
  { leaf }: Verdict,
  end: () => void,
): Connection {
  if (leaf === undefined) {
    throw new DstError(
      'DST_E_CERT_AUTHORITY',
      `${host} showed no certificate: check that it is an export`,
    );
  }
  return new WebTransportConnection(sessionint, {
    protocol: 'http/3',
    peer,
    serverCertificateSha256: certificateSha256(leaf),
    // The library has no pings (ENGINES W10); those of the control stream go on.
    ping: () => {},
    release: end,
  });
}

/** How to end what the library made, once its socket is there: some turns of the event loop on. */
function prepareEnd({ sessionint }: EngineWebTransport): () => void {
  const client = sessionint.parentobj as EngineClient;
  // The library (1.6.8) reports a failed socket to nobody, and would throw in an event handler.
  const socket = client.transportInt?.socket;
  if (socket !== undefined) socket.jsobj = client;
  // Neither does it survive to be ended twice, which it would do by itself.
  const endOnce = client.closeHookSession;
  let ended = false;
  client.closeHookSession = () => {
    if (!ended) endOnce();
    ended = true;
  };
  return () => setImmediate(() => client.closeHookSession());
}

function failed(options: AddressDialOptions, cause: unknown): DstError {
  return new DstError(
    'DST_E_HANDSHAKE',
    `no WebTransport over HTTP/3 at ${where(options)}: check that UDP port ${options.peer.port} is the export's --webtransport-port`,
    { cause },
  );
}
