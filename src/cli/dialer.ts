import type { HostPort } from '../client/address.js';
import type { Dial } from '../client/link.js';
import { dialQuic } from '../transport/quic/dial.js';
import { loadServerTrust } from '../trust/server-trust.js';

/** How to reach an export that the certificate in a file vouches for. */
export function dialer(where: HostPort, certificatePath: string): Dial {
  const trust = loadServerTrust(certificatePath);
  return () => dialQuic({ ...where, trust });
}
