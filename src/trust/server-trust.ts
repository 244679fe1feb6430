import type { X509Certificate } from 'node:crypto';
import { DstError } from '../errors.js';
import { checkDates, checkLeafUsage, describeSubject } from './certificate-checks.js';
import { findChainProblem } from './chain.js';
import { parseHost } from './host.js';
import { readCertificateFile } from './pem-file.js';

const NAMES_CHARACTERS_MAX = 300;

/**
 * What a client holds an export's certificate against.
 *
 * `pin`: exactly this certificate, whatever names it has, as its key is the identity.
 * `authorities`: a certificate for the host's name that one of these signed, directly or
 * through intermediates; or one of these itself, as with a self-signed certificate.
 */
export type ServerTrust =
  | { readonly kind: 'pin'; readonly path: string; readonly certificate: X509Certificate }
  | {
      readonly kind: 'authorities';
      readonly path: string;
      readonly certificates: readonly X509Certificate[];
    };

/**
 * Reads the client's `--cert` file. Where the first certificate in it is not an
 * authority's, it is a pin, and those after it (its chain) are not looked at.
 * Fails with `DST_E_CERT_FILE`.
 */
export function loadServerTrust(path: string): ServerTrust {
  const { certificates } = readCertificateFile(path);
  const [first] = certificates;
  if (!first.ca) return { kind: 'pin', path, certificate: first };
  const stranger = certificates.find((certificate) => !certificate.ca);
  if (stranger !== undefined) {
    throw new DstError(
      'DST_E_CERT_FILE',
      `${path} begins with an authority but also has a certificate that is none (${describeSubject(stranger)}): give either authorities, or the certificate to pin as the first`,
    );
  }
  return { kind: 'authorities', path, certificates };
}

/**
 * Decides whether a server that proved to hold the key of `chain[0]` is the export at
 * `host` (a DNS name or an address, with no port and no brackets). Returns if it is.
 *
 * Throws DST_E_CERT_PIN (not the pinned certificate), DST_E_CERT_AUTHORITY (no known
 * authority signed it), DST_E_CERT_NAME (it is for other names), DST_E_CERT_EXPIRED (it, or
 * an authority above it, is out of date) or DST_E_CERT_USAGE (not fit for a server).
 */
export function verifyServerChain(
  trust: ServerTrust,
  chain: readonly X509Certificate[],
  host: string,
  now: Date,
): void {
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) {
    throw new DstError(
      'DST_E_CERT_AUTHORITY',
      `${host} showed no certificate: check that it is an export`,
    );
  }
  const what = `the certificate of ${host}`;
  const given = isGiven(trust, leaf);
  if (!given) requireAuthority(trust, leaf, intermediates, host, now);
  checkDates(leaf, what, now);
  if (given) return;
  checkLeafUsage(leaf, what, 'server');
  checkName(leaf, host);
}

/** The very certificate that the user gave needs nobody else's word, nor a fitting name. */
function isGiven(trust: ServerTrust, leaf: X509Certificate): boolean {
  const given = trust.kind === 'pin' ? [trust.certificate] : trust.certificates;
  return given.some(({ raw }) => raw.equals(leaf.raw));
}

function requireAuthority(
  trust: ServerTrust,
  leaf: X509Certificate,
  intermediates: readonly X509Certificate[],
  host: string,
  now: Date,
): void {
  if (trust.kind === 'pin') {
    throw new DstError(
      'DST_E_CERT_PIN',
      `${host} shows another certificate (SHA-256 ${leaf.fingerprint256}) than the one in ${trust.path} (${trust.certificate.fingerprint256}): if the export's was renewed, give the new one`,
    );
  }
  const anchors = trust.certificates;
  const problem = findChainProblem({ leaf, intermediates, anchors, purpose: 'server', now });
  if (problem?.code === 'DST_E_CERT_AUTHORITY') {
    throw new DstError(
      'DST_E_CERT_AUTHORITY',
      `no authority in ${trust.path} vouches for the certificate of ${host} (${describeSubject(leaf)}): give the export's own CA with --cert`,
    );
  }
  if (problem !== undefined) throw problem;
}

/** Only the subject alternative names count (RFC 9525, 2), and a `*` only as a whole label. */
function checkName(leaf: X509Certificate, host: string): void {
  const wanted = parseHost(host);
  const found =
    wanted?.kind === 'ip'
      ? leaf.checkIP(wanted.value)
      : wanted && leaf.checkHost(wanted.value, { subject: 'never', partialWildcards: false });
  if (found !== undefined) return;
  const names = (leaf.subjectAltName || 'no name at all').slice(0, NAMES_CHARACTERS_MAX);
  throw new DstError(
    'DST_E_CERT_NAME',
    `the certificate of ${host} is for ${names}, not for ${host}: use one of these names, or make a certificate with --host ${host}`,
  );
}
