import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { PORT_PROBE_INTERVAL_MS } from '../../limits.js';
import type { PeerAddress } from '../transport.js';

/** `closed`: nothing listens on the port. `no way`: this machine has no route to it. */
export type PortFailure = 'closed' | 'no way';

/**
 * Tells why a UDP port cannot be reached, where that can be known at once. The engine hears
 * neither of a missing route nor of the ICMP error that a machine sends for a port on which
 * nothing listens, and would wait out its whole time; a connected socket of our own does. One
 * zero byte is sent: no QUIC packet, so a server drops it. It is sent again and again, as
 * either may be lost, and machines limit how many errors they send: the engine's own packets
 * use them up.
 *
 * `failed` stays pending while nothing is known. Call `stop` when done.
 */
export function probePort(peer: PeerAddress): { failed: Promise<PortFailure>; stop(): void } {
  const socket = createSocket(isIPv6(peer.address) ? 'udp6' : 'udp4');
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const stop = () => {
    if (stopped) return;
    stopped = true;
    clearInterval(timer);
    socket.close();
  };
  const probe = () => socket.send(Buffer.alloc(1));
  const failed = new Promise<PortFailure>((resolve) => {
    // Of a send: other errors than this one may pass.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNREFUSED') return;
      stop();
      resolve('closed');
    });
    // The types know nothing of the error that a connect which fails passes.
    const onConnect = (error?: Error) => {
      if (stopped) return;
      if (error === undefined) {
        probe();
        timer = setInterval(probe, PORT_PROBE_INTERVAL_MS);
      } else {
        stop();
        resolve('no way');
      }
    };
    socket.connect(peer.port, peer.address, onConnect);
  });
  return { failed, stop };
}
