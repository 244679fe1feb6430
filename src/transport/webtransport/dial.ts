import { DstError } from '../../errors.js';
import { HTTP3_RETRY_INTERVAL_MS, HTTP3_SILENT_ADDRESSES_MAX, HTTP3_TRY_MS } from '../../limits.js';
import type { ServerTrust } from '../../trust/server-trust.js';
import { dialHost, type HostDialOptions } from '../dial-host.js';
import type { Connection } from '../transport.js';
import { dialHttp2 } from './dial-http2.js';
import { dialHttp3 } from './dial-http3.js';
import type { AddressDialOptions } from './dial-tls.js';
import { http3Available } from './engine.js';

export { http3Available, loadEngine } from './engine.js';

export interface WebTransportDialOptions extends HostDialOptions {
  readonly trust: ServerTrust;
  /** What may be used; both, unless given. Without its binary there is no HTTP/3. */
  readonly protocols?: readonly ('http/2' | 'http/3')[];
}

/**
 * Connects to an export and verifies its certificate before anything of ours is sent, at the
 * addresses and within the limits that `dialHost` tells: over HTTP/3 where its binary is there
 * and the export answers on that UDP port, else over HTTP/2 on the TCP port.
 *
 * Rejects with what `dialHost` and `verifyServerChain` say, and with DST_E_HANDSHAKE where
 * something else than an export listens.
 */
export async function dialWebTransport(options: WebTransportDialOptions): Promise<Connection> {
  const { host, trust, like } = options;
  const { protocols = ['http/3', 'http/2'] } = like?.protocol
    ? { protocols: [like.protocol] }
    : options;
  const mayHttp2 = protocols.includes('http/2');
  const mayHttp3 = protocols.includes('http/3') && (await http3Available());
  const kind = mayHttp2 || !mayHttp3 ? 'TCP' : 'UDP';
  return dialHost(options, kind, (peer, limits) => {
    const attempt = { host, peer, trust, ...limits };
    if (!mayHttp3) return dialHttp2(attempt);
    return mayHttp2 ? dialEither(attempt) : dialHttp3(attempt);
  });
}

/** When HTTP/3 failed at an address where HTTP/2 then did not; the oldest first. */
const http3FailedMs = new Map<string, number>();

/** HTTP/3 first, for a part of the time, except where it failed lately. */
async function dialEither(options: AddressDialOptions): Promise<Connection> {
  const key = `${options.peer.address} ${options.peer.port}`;
  const startMs = performance.now();
  if (startMs - (http3FailedMs.get(key) ?? -Infinity) < HTTP3_RETRY_INTERVAL_MS) {
    return dialHttp2(options);
  }
  try {
    const timeoutMs = Math.min(HTTP3_TRY_MS, options.timeoutMs / 2);
    return await dialHttp3({ ...options, timeoutMs });
  } catch (error) {
    if (!(error instanceof DstError) || !MAY_TRY_HTTP2.has(error.code)) throw error;
  }
  const passedMs = performance.now() - startMs;
  const connection = await dialHttp2({ ...options, timeoutMs: options.timeoutMs - passedMs });
  remember(key);
  return connection;
}

/** Not where the export's certificate is wrong: it would show the same one. */
const MAY_TRY_HTTP2 = new Set<string>(['DST_E_UNREACHABLE', 'DST_E_HANDSHAKE']);

function remember(key: string): void {
  http3FailedMs.delete(key);
  http3FailedMs.set(key, performance.now());
  if (http3FailedMs.size <= HTTP3_SILENT_ADDRESSES_MAX) return;
  const [oldest] = http3FailedMs.keys();
  if (oldest !== undefined) http3FailedMs.delete(oldest);
}
