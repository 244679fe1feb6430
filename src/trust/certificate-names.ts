import type { X509Certificate } from 'node:crypto';
import { EXTENSION, readExtension } from './certificate-fields.js';
import { DER_TAG, readConstructed } from './der.js';

/** Identifier octets of the kinds of name that are plain text (RFC 5280, 4.2.1.6). */
const TEXT_NAME_TAGS: ReadonlySet<number> = new Set([
  0x81, // rfc822Name: an email address
  0x82, // dNSName
  0x86, // uniformResourceIdentifier
]);

/**
 * The names by which a client may be known: the DNS names, email addresses and URIs among its
 * subject alternative names, then the common names of its subject; each to the letter.
 *
 * Read from the encoding, as the text in which Node puts several names into one line needs
 * care to be taken apart again. To be asked of a verified certificate only: its authority then
 * answers for what is in it. Fails with `DST_E_DER` where the names are malformed.
 */
export function certificateNames(certificate: X509Certificate): string[] {
  return [...alternativeNames(certificate), ...commonNames(certificate)];
}

function alternativeNames(certificate: X509Certificate): string[] {
  const extension = readExtension(certificate, EXTENSION.SUBJECT_ALTERNATIVE_NAME);
  if (extension === undefined) return [];
  return readConstructed(extension, DER_TAG.SEQUENCE)
    .filter(({ tag }) => TEXT_NAME_TAGS.has(tag))
    .map(({ content }) => content.toString('latin1'));
}

function commonNames(certificate: X509Certificate): string[] {
  // Optional where the subject is empty, and an array where it has several; the types say neither.
  const subject: { CN?: string | string[] } | undefined = certificate.toLegacyObject().subject;
  return [subject?.CN ?? []].flat();
}
