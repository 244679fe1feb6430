import type { X509Certificate } from 'node:crypto';
import { DstError } from '../errors.js';
import { type CertificateFields, readCertificateFields } from './certificate-fields.js';

const ANY_PURPOSE = '2.5.29.37.0';

/** Object identifiers of the extended key usages (RFC 5280, 4.2.1.12). */
export const PURPOSE = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
} as const;

export type Purpose = keyof typeof PURPOSE;

/** SHA-256 and up with RSA or ECDSA, Ed25519 and Ed448: nothing that has been forged. */
const SIGNATURE_ALGORITHMS = new Set([
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.3.101.112',
  '1.3.101.113',
]);

/** NIST SP 800-131A: what a shorter RSA key signed is not worth checking. */
const RSA_BITS_MIN = 2048;

const SUBJECT_CHARACTERS_MAX = 200;

/** The certificate's subject in one bounded line: its text is chosen by the peer. */
export function describeSubject(certificate: X509Certificate): string {
  // A subject may be missing or empty: its names are in the SAN then.
  const subject = (certificate.subject || 'no subject').replaceAll('\n', ', ');
  return subject.slice(0, SUBJECT_CHARACTERS_MAX);
}

/** Throws `DST_E_CERT_EXPIRED` unless the certificate is valid at `now`. */
export function checkDates(certificate: X509Certificate, what: string, now: Date): void {
  const from = new Date(certificate.validFrom);
  const to = new Date(certificate.validTo);
  // Written so that a date that cannot be read counts as out of date.
  if (now >= from && now <= to) return;
  const when =
    now < from
      ? `is not valid before ${formatDate(from)}: check this machine's clock`
      : `expired on ${formatDate(to)}: make a new one, or check this machine's clock`;
  throw new DstError('DST_E_CERT_EXPIRED', `${what} (${describeSubject(certificate)}) ${when}`);
}

/** Throws `DST_E_CERT_USAGE` unless the certificate may stand for an end with this purpose. */
export function checkLeafUsage(certificate: X509Certificate, what: string, purpose: Purpose): void {
  const fields = readFields(certificate, what);
  checkUnderstood(fields, what);
  checkPurpose(fields, what, purpose);
  // TLS 1.3 proves possession by a signature (RFC 8446, 4.4.2.2).
  if (fields.keyUsage?.digitalSignature === false) {
    throw unusable(what, 'may not be used for signatures');
  }
}

/**
 * Throws `DST_E_CERT_USAGE` unless the certificate may sign one below which lie
 * `authoritiesBelow` further authorities and then a leaf with this purpose.
 */
export function checkAuthorityUsage(
  certificate: X509Certificate,
  what: string,
  purpose: Purpose,
  authoritiesBelow: number,
): void {
  const fields = readFields(certificate, what);
  if (!fields.isAuthority) throw unusable(what, 'is not a certificate authority');
  if (fields.keyUsage?.certSign === false) throw unusable(what, 'may not sign certificates');
  if (authoritiesBelow > fields.pathLengthMax) {
    throw unusable(what, `allows ${fields.pathLengthMax} authorities below it`);
  }
  checkUnderstood(fields, what);
  checkPurpose(fields, what, purpose);
}

/** Throws `DST_E_CERT_USAGE` where the signature on `certificate` could be a forgery. */
export function checkSignatureStrength(
  certificate: X509Certificate,
  issuer: X509Certificate,
  what: string,
): void {
  const { signatureAlgorithm } = readFields(certificate, what);
  if (!SIGNATURE_ALGORITHMS.has(signatureAlgorithm)) {
    throw unusable(
      what,
      `is signed with an algorithm that is not accepted (${signatureAlgorithm})`,
    );
  }
  const { modulusLength } = issuer.publicKey.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined && modulusLength < RSA_BITS_MIN) {
    throw unusable(what, `is signed with an RSA key of ${modulusLength} bits`);
  }
}

function readFields(certificate: X509Certificate, what: string): CertificateFields {
  try {
    return readCertificateFields(certificate);
  } catch (cause) {
    if (!(cause instanceof DstError)) throw cause;
    throw unusable(what, `is malformed (${cause.message})`);
  }
}

function checkUnderstood({ notUnderstood }: CertificateFields, what: string): void {
  const [id] = notUnderstood;
  if (id !== undefined) throw unusable(what, `is bound by an extension not known here (${id})`);
}

function checkPurpose({ purposes }: CertificateFields, what: string, purpose: Purpose): void {
  if (purposes === undefined) return;
  if (purposes.includes(PURPOSE[purpose]) || purposes.includes(ANY_PURPOSE)) return;
  throw unusable(what, `is not made for use as a TLS ${purpose}`);
}

function unusable(what: string, why: string): DstError {
  return new DstError('DST_E_CERT_USAGE', `${what} ${why}: use one such as dst-quic cert makes`);
}

function formatDate(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'a date that cannot be read' : date.toISOString();
}
