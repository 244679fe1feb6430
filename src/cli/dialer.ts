import type { ExportPlace } from '../client/address.js';
import type { Dial } from '../client/link.js';
import type { Route } from '../client/route/route.js';
import { RouteMemory } from '../client/route/route-memory.js';
import { Router } from '../client/route/router.js';
import { type SessionRoute, sessionRoute } from '../client/route/session-route.js';
import { systemClock } from '../clock.js';
import { invariant } from '../errors.js';
import type { Log } from '../log.js';
import { dialQuic } from '../transport/quic/dial.js';
import type { Connection } from '../transport/transport.js';
import type { Identity } from '../trust/identity.js';
import { loadServerTrust } from '../trust/server-trust.js';
import { cacheFolder } from './cache-folder.js';

/** Milliseconds between probes of QUIC: for tests, which do not wait for a minute. */
const PROBE_INTERVAL_VARIABLE = 'DST_QUIC_PROBE_INTERVAL_MS';

export interface DialerOptions {
  readonly place: ExportPlace;
  /** Of the file whose certificate vouches for the export. */
  readonly certificatePath: string;
  /** What this client shows to an export that asks for a certificate, which it does over QUIC. */
  readonly identity?: Identity | undefined;
  readonly log: Log;
}

/** The way to an export for a session that lasts. */
export function roamingDialer(options: DialerOptions): SessionRoute {
  const dials = dialsOf(options);
  const router = createRouter(options, dials);
  const probeIntervalMs = Number(process.env[PROBE_INTERVAL_VARIABLE] ?? Number.NaN);
  return sessionRoute({
    router,
    quic: dials.quic,
    ...(probeIntervalMs > 0 ? { probeIntervalMs } : {}),
  });
}

/** Asks an export something over one connection; returns how it was reached, too. */
export async function askExport<T>(
  options: DialerOptions,
  question: (dial: Dial) => Promise<T>,
): Promise<{ answer: T; route: Route }> {
  const router = createRouter(options, dialsOf(options));
  let connection: Connection | undefined;
  const answer = await question(async (request) => {
    connection = await router.dial(request);
    return connection;
  });
  invariant(connection !== undefined, 'an answer without a connection');
  await router.answered(connection);
  const route = router.current;
  invariant(route !== undefined, 'an answer without a route');
  return { answer, route };
}

interface Dials {
  readonly quic: Dial;
  readonly webtransport: Dial;
}

function dialsOf({ place, certificatePath, identity }: DialerOptions): Dials {
  const trust = loadServerTrust(certificatePath);
  const { scheme, host, port } = place;
  // Where QUIC gets no answer, HTTP/3 would get none either: it goes over UDP as well.
  const protocols = scheme === undefined ? (['http/2'] as const) : (['http/3', 'http/2'] as const);
  return {
    quic: (request) => dialQuic({ host, port, trust, identity, ...request }),
    webtransport: async (request) => {
      // Loaded here: it takes its time, and an address of quic:// has no need of it.
      const { dialWebTransport } = await import('../transport/webtransport/dial.js');
      return dialWebTransport({ host, port, trust, protocols, ...request });
    },
  };
}

function createRouter({ place, log }: DialerOptions, dials: Dials): Router {
  const memory = new RouteMemory({ folder: cacheFolder(), where: place, log });
  return new Router({ place, ...dials, memory, clock: systemClock });
}
