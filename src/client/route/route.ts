import type { Connection } from '../../transport/transport.js';

/**
 * Why a connection has the transport that it has. The names are for scripts, and stay.
 *
 * - `asked`: the address names the transport.
 * - `preferred`: QUIC, as ever where it works.
 * - `quic-silent`, `quic-refused`, `quic-failed`: WebTransport, since QUIC got no answer in its
 *   time, nothing listens on the UDP port, or it failed otherwise.
 * - `quic-unanswered`: WebTransport, since the export answered nothing over QUIC, or no more
 *   than greetings.
 * - `quic-denied`: WebTransport, since the export refused this client over QUIC.
 * - `remembered`: WebTransport, since QUIC got no answer from the same address lately.
 */
export type RouteReason =
  | 'asked'
  | 'preferred'
  | 'quic-silent'
  | 'quic-refused'
  | 'quic-failed'
  | 'quic-unanswered'
  | 'quic-denied'
  | 'remembered';

/**
 * What becomes of a connection, as whoever chooses the transport of the next one is told.
 *
 * - `greeted`: HELLO goes out on it.
 * - `answered`: the export refused for what it would refuse over every transport.
 * - `denied`: it refused otherwise: over another transport it may see another address of this
 *   client's, or be another export altogether.
 * - `welcomed`: the export said WELCOME.
 * - `used`: a transaction was answered on it, for the first time.
 * - `useless`: not one was, though transactions wait: they are late, or it has ended.
 */
export type ConnectionNews = 'greeted' | 'answered' | 'denied' | 'welcomed' | 'used' | 'useless';

/** A reason, and the same in words; without words where there is nothing to explain. */
export interface Cause {
  readonly reason: RouteReason;
  readonly words: string;
}

/** By which transport an export was reached, and why. */
export interface Route extends Cause {
  readonly transport: Connection['transport'];
  readonly protocol: Connection['protocol'];
}

/** As a person is told: "quic", or "webtransport over HTTP/2 (QUIC did not answer in time)". */
export function describeRoute({ transport, protocol, words }: Route): string {
  const over = protocol === undefined ? '' : ` over ${protocol.toUpperCase()}`;
  const why = words === '' ? '' : ` (${words})`;
  return `${transport}${over}${why}`;
}

/** What the log holds beside its words. */
export function routeFields({ transport, protocol, reason }: Route): Record<string, string> {
  return { transport, ...(protocol === undefined ? {} : { protocol }), reason };
}
