import { networkInterfaces } from 'node:os';

/**
 * The addresses that a host to listen on stands for: all of this machine's for a wildcard,
 * without those that need a zone (IPv6 link-local), else itself.
 */
export function ownAddresses(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host];
  const families = host === '::' ? ['IPv4', 'IPv6'] : ['IPv4'];
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, scopeid }) => families.includes(family) && !scopeid)
    .map(({ address }) => address);
}
