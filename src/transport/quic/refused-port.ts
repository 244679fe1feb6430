import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { PeerAddress } from '../transport.js';

/**
 * Tells when a UDP port is closed. The engine does not hear the ICMP error that a machine
 * sends for a port on which nothing listens, and would wait out its whole time; a connected
 * socket of our own does. One zero byte is sent: no QUIC packet, so a server drops it.
 *
 * `refused` stays pending when no such error comes. Call `stop` when done.
 */
export function refusedPort(peer: PeerAddress): { refused: Promise<void>; stop(): void } {
  const socket = createSocket(isIPv6(peer.address) ? 'udp6' : 'udp4');
  let stopped = false;
  const stop = () => {
    if (stopped) return;
    stopped = true;
    socket.close();
  };
  const refused = new Promise<void>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => {
      stop();
      if (error.code === 'ECONNREFUSED') resolve();
    });
    socket.connect(peer.port, peer.address, () => {
      if (!stopped) socket.send(Buffer.alloc(1));
    });
  });
  return { refused, stop };
}
