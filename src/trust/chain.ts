import type { X509Certificate } from 'node:crypto';
import { DstError } from '../errors.js';
import { CERTIFICATE_CHAIN_LENGTH_MAX, CERTIFICATE_SIGNATURE_CHECKS_MAX } from '../limits.js';
import {
  checkAuthorityUsage,
  checkDates,
  checkSignatureStrength,
  describeSubject,
  type Purpose,
} from './certificate-checks.js';

export interface ChainQuestion {
  readonly leaf: X509Certificate;
  /** What the peer showed beside its leaf, in any order. */
  readonly intermediates: readonly X509Certificate[];
  readonly anchors: readonly X509Certificate[];
  readonly purpose: Purpose;
  readonly now: Date;
}

interface Search extends ChainQuestion {
  /** Why the first issuer that did sign was turned down: the most telling failure. */
  problem: DstError | undefined;
  checksLeft: number;
}

/**
 * Looks for a path of signatures from the leaf to an anchor (RFC 5280, 6), each step by an
 * authority that is in date and may sign what is below it. Anchors must be in date too.
 *
 * Returns undefined where there is one; else why the best candidate failed, or
 * `DST_E_CERT_AUTHORITY` where none signed it. Name, dates and use of the leaf itself are
 * the caller's to check.
 */
export function findChainProblem(question: ChainQuestion): DstError | undefined {
  const search: Search = {
    ...question,
    problem: undefined,
    checksLeft: CERTIFICATE_SIGNATURE_CHECKS_MAX,
  };
  if (reachesAnchor([question.leaf], question.leaf, search)) return undefined;
  return (
    search.problem ??
    new DstError(
      'DST_E_CERT_AUTHORITY',
      `the certificate ${describeSubject(question.leaf)} is not signed by a known authority`,
    )
  );
}

/** Depth first, as a peer may show several issuers of one name of which one leads on. */
function reachesAnchor(
  path: readonly X509Certificate[],
  tip: X509Certificate,
  search: Search,
): boolean {
  if (path.length >= CERTIFICATE_CHAIN_LENGTH_MAX) return false;
  for (const anchor of search.anchors) {
    if (isIssuer(anchor, tip, path, search)) return true;
  }
  for (const intermediate of search.intermediates) {
    if (path.includes(intermediate)) continue;
    if (!isIssuer(intermediate, tip, path, search)) continue;
    if (reachesAnchor([...path, intermediate], intermediate, search)) return true;
  }
  return false;
}

function isIssuer(
  issuer: X509Certificate,
  tip: X509Certificate,
  path: readonly X509Certificate[],
  search: Search,
): boolean {
  if (!tip.checkIssued(issuer) || search.checksLeft === 0) return false;
  search.checksLeft -= 1;
  if (!isSignedBy(tip, issuer)) return false;
  try {
    checkSignatureStrength(tip, issuer, `the certificate ${describeSubject(tip)}`);
    checkAuthorityUsage(
      issuer,
      `the authority ${describeSubject(issuer)}`,
      search.purpose,
      path.length - 1,
    );
    checkDates(issuer, 'the authority', search.now);
    return true;
  } catch (error) {
    if (!(error instanceof DstError)) throw error;
    search.problem ??= error;
    return false;
  }
}

/** Whether the key of `issuer` made the signature of `certificate`; nothing else is looked at. */
export function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    // A key of a kind that OpenSSL does not know signs nothing that we would believe.
    return false;
  }
}
