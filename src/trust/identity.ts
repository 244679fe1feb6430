import type { X509Certificate } from 'node:crypto';
import { DstError } from '../errors.js';
import { checkDates, checkLeafUsage, type Purpose } from './certificate-checks.js';
import { readCertificateFile, readPrivateKeyFile } from './pem-file.js';

export interface IdentityPaths {
  readonly certificatePath: string;
  readonly keyPath: string;
}

/** A certificate, the chain after it in its file, and its private key. */
export interface Identity {
  readonly certificatePem: Buffer;
  readonly keyPem: Buffer;
  readonly certificate: X509Certificate;
}

/**
 * Reads what an export shows to its clients, and refuses what they would refuse later.
 *
 * Throws DST_E_CERT_FILE or DST_E_KEY_FILE (missing, unreadable or not PEM), DST_E_KEY_MODE
 * (others may read the key), DST_E_KEY_ENCRYPTED, DST_E_CERT_KEY (they do not belong
 * together), DST_E_CERT_EXPIRED or DST_E_CERT_USAGE.
 */
export function loadServerIdentity(paths: IdentityPaths, now = new Date()): Identity {
  return loadIdentity(paths, 'server', now);
}

/** The same for what a client shows to an export that asks for a certificate. */
export function loadClientIdentity(paths: IdentityPaths, now = new Date()): Identity {
  return loadIdentity(paths, 'client', now);
}

function loadIdentity(
  { certificatePath, keyPath }: IdentityPaths,
  purpose: Purpose,
  now: Date,
): Identity {
  const { pem: certificatePem, certificates } = readCertificateFile(certificatePath);
  const { pem: keyPem, key } = readPrivateKeyFile(keyPath);
  const [certificate] = certificates;
  if (!certificate.checkPrivateKey(key)) {
    throw new DstError(
      'DST_E_CERT_KEY',
      `the private key ${keyPath} does not belong to the first certificate in ${certificatePath}: give the pair that was made together`,
    );
  }
  checkDates(certificate, `the certificate ${certificatePath}`, now);
  checkLeafUsage(certificate, `the certificate ${certificatePath}`, purpose);
  return { certificatePem, keyPem, certificate };
}
