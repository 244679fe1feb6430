import type { Log } from '../../log.js';
import type { Identity } from '../../trust/identity.js';
import type { Listener } from '../transport.js';
import { listenHttp2 } from './listen-http2.js';
import { listenHttp3 } from './listen-http3.js';

export interface WebTransportListenOptions {
  /** An address of this machine, without brackets; 0.0.0.0 or :: for all of them. */
  readonly host: string;
  /** 0 for any free port: of TCP for HTTP/2, of UDP for HTTP/3. */
  readonly port: number;
  readonly identity: Identity;
  readonly log: Log;
  readonly protocol: 'http/2' | 'http/3';
}

/**
 * Listens for WebTransport connections, with one listener or, over HTTP/3, with one for each
 * address that the host stands for.
 *
 * Rejects with DST_E_ADDRESS_IN_USE, DST_E_ADDRESS_UNAVAILABLE, DST_E_PERMISSION, DST_E_LISTEN,
 * or DST_E_HTTP3_UNAVAILABLE where `http3Available` says no; then nothing is left open.
 */
export async function listenWebTransport(options: WebTransportListenOptions): Promise<Listener[]> {
  return options.protocol === 'http/3' ? listenHttp3(options) : [await listenHttp2(options)];
}
