import { createHash, type X509Certificate } from 'node:crypto';

/** SHA-256 of a certificate, as it is on the wire (32 bytes). */
export function certificateSha256(certificate: X509Certificate): Buffer {
  return createHash('sha256').update(certificate.raw).digest();
}
