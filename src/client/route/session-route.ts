import type { Clock } from '../../clock.js';
import type { PeerAddress } from '../../transport/transport.js';
import type { Dial } from '../dial.js';
import { watchPath } from '../path-watch.js';
import type { SessionOptions } from '../session-options.js';
import { QuicProbe } from './quic-probe.js';
import type { Router } from './router.js';

export interface SessionRouteOptions {
  readonly router: Router;
  /** What probes dial: the same as the router's. */
  readonly quic: Dial;
  /** Calls back when this machine's own way to a peer has changed; returns how to stop. */
  readonly watch?: typeof watchPath;
  readonly probeIntervalMs?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** What a session is told of the way to its export. */
export type SessionRoute = Required<
  Pick<SessionOptions, 'dial' | 'heard' | 'currentRoute' | 'watchPath'>
>;

/**
 * Keeps a session on the best way: has it dial anew when this machine's own way to the address
 * that it is connected to has changed, and when QUIC works again after it fell back from it.
 */
export function sessionRoute(options: SessionRouteOptions): SessionRoute {
  const { router, watch = watchPath } = options;
  let peer: PeerAddress | undefined;
  return {
    dial: (request) => router.dial(request),
    heard: (connection, news) => {
      if (news === 'welcomed') peer = connection.peer;
      void router.heard(connection, news);
    },
    currentRoute: () => router.current,
    watchPath: (changed) => {
      const probe = startProbe(options, () => changed('quic'));
      const unwatch = watch(
        () => peer,
        () => {
          router.startAfresh();
          probe.startAfresh();
          changed('path');
        },
      );
      return () => {
        unwatch();
        probe.stop();
        router.withdraw();
      };
    },
  };
}

function startProbe(options: SessionRouteOptions, works: () => void): QuicProbe {
  const { router, quic, probeIntervalMs, clock, random } = options;
  return new QuicProbe({
    quic,
    wanted: () => router.fellBack,
    reached: (connection) => {
      router.offer(connection);
      works();
    },
    ...(probeIntervalMs === undefined ? {} : { intervalMs: probeIntervalMs }),
    ...(clock === undefined ? {} : { clock }),
    ...(random === undefined ? {} : { random }),
  });
}
