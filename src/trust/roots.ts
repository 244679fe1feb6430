import type { X509Certificate } from 'node:crypto';
import { isSignedBy } from './chain.js';

/** Whether it stands above all others: an authority that signed itself. */
export function isRoot(authority: X509Certificate): boolean {
  return authority.checkIssued(authority) && isSignedBy(authority, authority);
}

/**
 * The first of these authorities from which no chain of signatures within the list leads up to
 * a root; undefined where there is none. BoringSSL, which the QUIC engine has, believes no
 * chain that ends below a root, whatever it was given to trust.
 */
export function findRootless(authorities: readonly X509Certificate[]): X509Certificate | undefined {
  const rooted = new Set(authorities.filter(isRoot));
  // What is added meanwhile is visited too.
  for (const issuer of rooted) {
    for (const authority of authorities) {
      if (authority.checkIssued(issuer) && isSignedBy(authority, issuer)) rooted.add(authority);
    }
  }
  return authorities.find((authority) => !rooted.has(authority));
}
