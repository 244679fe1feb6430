import type { HostPort } from '../client/address.js';
import type { Dial } from '../client/link.js';
import { watchPath } from '../client/path-watch.js';
import type { SessionOptions } from '../client/session.js';
import { dialQuic } from '../transport/quic/dial.js';
import type { PeerAddress } from '../transport/transport.js';
import { loadServerTrust } from '../trust/server-trust.js';

/** How to reach an export that the certificate in a file vouches for. */
export function dialer(where: HostPort, certificatePath: string): Dial {
  const trust = loadServerTrust(certificatePath);
  return (request) => dialQuic({ ...where, trust, ...request });
}

/** The same for a session: with a watch of the way to the address that was last connected to. */
export function roamingDialer(
  where: HostPort,
  certificatePath: string,
): Required<Pick<SessionOptions, 'dial' | 'watchPath'>> {
  const dial = dialer(where, certificatePath);
  let peer: PeerAddress | undefined;
  return {
    dial: async (request) => {
      const connection = await dial(request);
      peer = connection.peer;
      return connection;
    },
    watchPath: (changed) => watchPath(() => peer, changed),
  };
}
