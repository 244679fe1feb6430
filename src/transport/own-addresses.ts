import { networkInterfaces } from 'node:os';
import type { Listener } from './transport.js';

/**
 * One listener for each address that a host to listen on stands for, all at one port: with port 0
 * the first address picks it. Rejects as `listenOn` does; then nothing is left open.
 */
export async function listenOnOwnAddresses(
  { host, port }: { readonly host: string; readonly port: number },
  listenOn: (address: string, port: number) => Promise<Listener>,
): Promise<Listener[]> {
  const listeners: Listener[] = [];
  let samePort = port;
  try {
    for (const address of ownAddresses(host)) {
      const listener = await listenOn(address, samePort);
      samePort = listener.address.port;
      listeners.push(listener);
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
  return listeners;
}

/**
 * The addresses that a host to listen on stands for: all of this machine's for a wildcard,
 * without those that need a zone (IPv6 link-local), else itself.
 */
function ownAddresses(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host];
  const families = host === '::' ? ['IPv4', 'IPv6'] : ['IPv4'];
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, scopeid }) => families.includes(family) && !scopeid)
    .map(({ address }) => address);
}
