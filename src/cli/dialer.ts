import type { ExportPlace } from '../client/address.js';
import type { Dial } from '../client/dial.js';
import type { Route } from '../client/route/route.js';
import { RouteMemory } from '../client/route/route-memory.js';
import { Router } from '../client/route/router.js';
import { type SessionRoute, sessionRoute } from '../client/route/session-route.js';
import { systemClock } from '../clock.js';
import { DstError, invariant, reasonOf } from '../errors.js';
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

/**
 * The way to an export for a session that lasts. All that it may ever need is loaded with the
 * first dial: in an outage the package may be another one by then, or lie on the very device
 * that is away.
 */
export function roamingDialer(options: DialerOptions): SessionRoute {
  const dials = dialsOf(options);
  const router = createRouter(options, dials);
  const probeIntervalMs = Number(process.env[PROBE_INTERVAL_VARIABLE] ?? Number.NaN);
  const route = sessionRoute({
    router,
    quic: dials.quic,
    ...(probeIntervalMs > 0 ? { probeIntervalMs } : {}),
  });
  if (options.place.scheme === 'quic') return route;
  return { ...route, dial: (request) => dialLoaded(route.dial(request), dials.load()) };
}

/** A connection, once all is loaded: before that it is not used for anything. */
async function dialLoaded(
  dialling: Promise<Connection>,
  loading: Promise<unknown>,
): Promise<Connection> {
  // Of no matter where the dial itself fails.
  loading.catch(() => {});
  const connection = await dialling;
  try {
    await loading;
    return connection;
  } catch (error) {
    connection.close('the client is not complete');
    throw error;
  }
}

/** Asks an export something; returns how it was reached, too. */
export async function askExport<T>(
  options: DialerOptions,
  question: (dial: Dial) => Promise<T>,
): Promise<{ answer: T; route: Route }> {
  const router = createRouter(options, dialsOf(options));
  let connection: Connection | undefined;
  const answer = await question(async (request) => {
    connection = await router.dial(request);
    // HELLO goes out on it at once: where that gets no answer, the next is made otherwise.
    void router.heard(connection, 'greeted');
    return connection;
  });
  invariant(connection !== undefined, 'an answer without a connection');
  await router.heard(connection, 'welcomed');
  const route = router.current;
  invariant(route !== undefined, 'an answer without a route');
  return { answer, route };
}

interface Dials {
  readonly quic: Dial;
  readonly webtransport: Dial;
  /** Loads what WebTransport needs, once. */
  load(): Promise<unknown>;
}

function dialsOf({ place, certificatePath, identity }: DialerOptions): Dials {
  const trust = loadServerTrust(certificatePath);
  const { scheme, host, port } = place;
  // Where QUIC gets no answer, HTTP/3 would get none either: it goes over UDP as well.
  const protocols = scheme === undefined ? (['http/2'] as const) : (['http/3', 'http/2'] as const);
  const load = loadedOnce(loadWebTransport);
  return {
    quic: (request) => dialQuic({ host, port, trust, identity, ...request }),
    webtransport: async (request) => {
      const dialWebTransport = await load();
      return dialWebTransport({ host, port, trust, protocols, ...request });
    },
    load,
  };
}

/** What succeeded once stays; what failed, as during an upgrade, is tried anew by the next call. */
export function loadedOnce<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined;
  return () => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
}

/** Not before it is needed: it takes its time, and an address of quic:// has no need of it. */
async function loadWebTransport() {
  try {
    const { dialWebTransport, loadEngine } = await import('../transport/webtransport/dial.js');
    await loadEngine();
    return dialWebTransport;
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new DstError(
      'DST_E_INSTALLATION',
      `what WebTransport needs cannot be loaded: ${reason}; install dst-quic anew`,
      { cause },
    );
  }
}

function createRouter({ place, log }: DialerOptions, dials: Dials): Router {
  const memory = new RouteMemory({ folder: cacheFolder(), where: place, log });
  return new Router({ place, ...dials, memory, clock: systemClock });
}
