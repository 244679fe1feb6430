import { backgroundClock, type Clock, type Timer } from '../clock.js';
import { PATH_CHECK_INTERVAL_MS } from '../limits.js';
import { lookAtOwnPath } from '../transport/own-path.js';
import type { PeerAddress } from '../transport/transport.js';

export interface PathWatchOptions {
  readonly intervalMs?: number;
  /** Describes the way to a peer: another text is another way, undefined is none. */
  readonly look?: (peer: PeerAddress) => Promise<string | undefined>;
  readonly clock?: Clock;
}

/**
 * Calls back whenever this machine's own way to a peer has become another one: its address,
 * or its default routes. A way that is lost is no news until there is one again, since nothing
 * can be dialled before. Asks for the peer's address at each look, so that it may be one thing
 * now and another later; a look at another peer is a first look, and undefined is none.
 *
 * Returns how to stop. Keeps no process alive.
 */
export function watchPath(
  currentPeer: () => PeerAddress | undefined,
  changed: () => void,
  options: PathWatchOptions = {},
): () => void {
  const { intervalMs = PATH_CHECK_INTERVAL_MS, look = lookAtOwnPath } = options;
  const clock = options.clock ?? backgroundClock;
  let stopped = false;
  let seen: { readonly address: string; way: string | undefined } | undefined;
  let timer: Timer;

  const lookOnce = async () => {
    const peer = currentPeer();
    if (peer !== undefined) {
      const way = await look(peer);
      if (stopped) return;
      const before = seen;
      seen = { address: peer.address, way };
      const other = before?.address === peer.address && before.way !== way;
      if (other && way !== undefined) changed();
    }
    // `changed` may have stopped it.
    if (!stopped) timer = clock.after(intervalMs, () => void lookOnce());
  };
  void lookOnce();
  return () => {
    stopped = true;
    timer?.cancel();
  };
}
