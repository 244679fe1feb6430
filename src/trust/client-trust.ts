import type { X509Certificate } from 'node:crypto';
import { DstError } from '../errors.js';
import { checkDates, checkLeafUsage, describeSubject } from './certificate-checks.js';
import { findChainProblem } from './chain.js';
import { readCertificateFile } from './pem-file.js';
import { findRootless } from './roots.js';

/** The authorities whose clients an export lets in. */
export interface ClientTrust {
  readonly path: string;
  readonly authorities: readonly X509Certificate[];
}

/**
 * Reads the export's `--client-ca` file: authorities only, and those that are not roots with the
 * roots above them. Fails with `DST_E_CERT_FILE`.
 */
export function loadClientTrust(path: string): ClientTrust {
  const { certificates: authorities } = readCertificateFile(path);
  const stranger = authorities.find(({ ca }) => !ca);
  if (stranger !== undefined) {
    throw new DstError(
      'DST_E_CERT_FILE',
      `${path} has a certificate that is no authority's (${describeSubject(stranger)}): give the CA that signs the certificates of clients`,
    );
  }
  // TLS would refuse its clients, each with an alert that says nothing of this.
  const rootless = findRootless(authorities);
  if (rootless === undefined) return { path, authorities };
  throw new DstError(
    'DST_E_CERT_FILE',
    `${path} has an authority below another (${describeSubject(rootless)}) without the root above it: add that root's certificate, and name the clients that count with --allow-name where the root signs for others too`,
  );
}

/**
 * Decides whether a client that proved to hold the key of `chain[0]` is one of an authority's.
 * Returns its certificate if it is.
 *
 * Throws DST_E_CERT_CLIENT (it showed none), DST_E_CERT_AUTHORITY (no known authority signed
 * it), DST_E_CERT_EXPIRED or DST_E_CERT_USAGE (not fit for a client).
 */
export function verifyClientChain(
  { path, authorities }: ClientTrust,
  chain: readonly X509Certificate[],
  now: Date,
): X509Certificate {
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) {
    throw new DstError(
      'DST_E_CERT_CLIENT',
      `the client shows no certificate: ${path} asks for one`,
    );
  }
  const question = { leaf, intermediates, anchors: authorities, purpose: 'client', now } as const;
  const problem = findChainProblem(question);
  if (problem !== undefined) throw problem;
  const what = "the client's certificate";
  checkDates(leaf, what, now);
  checkLeafUsage(leaf, what, 'client');
  return leaf;
}
