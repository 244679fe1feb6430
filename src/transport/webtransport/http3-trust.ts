import { X509Certificate } from 'node:crypto';
import type { PeerAddress } from '../transport.js';

/** Throws where the chain will not do; it is told each chain that the address shows. */
export type ChainCheck = (chain: X509Certificate[]) => void;

interface Question {
  readonly hostname: string;
  readonly port: number;
  readonly certs: readonly Uint8Array[];
}

/** The dials that are under way, by the address that they dial. */
const checks = new Map<string, Set<ChainCheck>>();

/**
 * Has the chain that an address shows checked by `check`, until the returned function is called.
 *
 * The library (1.6.8) asks one global function about every certificate that is not given by its
 * hash, with no word of who dials (ENGINES W3); its own function says yes to the system's
 * authorities. So ours answers in its place, from here on: no to whoever is not expected.
 */
export function expectChain(peer: PeerAddress, check: ChainCheck): () => void {
  (globalThis as { FAILSVerifyProof?: (question: Question) => boolean }).FAILSVerifyProof = answer;
  const key = keyOf(peer.address, peer.port);
  const all = checks.get(key) ?? new Set();
  checks.set(key, all.add(check));
  return () => {
    all.delete(check);
    if (all.size === 0 && checks.get(key) === all) checks.delete(key);
  };
}

function answer({ hostname, port, certs }: Question): boolean {
  const asked = checks.get(keyOf(hostname, port));
  if (asked === undefined) return false;
  try {
    const chain = certs.map((bytes) => new X509Certificate(bytes));
    for (const check of asked) check(chain);
    return true;
  } catch {
    return false;
  }
}

function keyOf(address: string, port: number): string {
  return `${address.replace(/^\[|\]$/g, '')} ${port}`;
}
