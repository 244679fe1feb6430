import type { X509Certificate } from 'node:crypto';
import {
  contextTag,
  DER_TAG,
  type DerElement,
  expectTag,
  onlyElement,
  readConstructed,
  readElements,
  readObjectIdentifier,
  readSmallInteger,
} from './der.js';

/** The parts of a certificate that decide what it may be used for, and that Node hides. */
export interface CertificateFields {
  /** Object identifier of the algorithm that it is signed with. */
  readonly signatureAlgorithm: string;
  /** Basic constraints: it may sign other certificates. */
  readonly isAuthority: boolean;
  /** Basic constraints: how many authorities may lie between it and a leaf. */
  readonly pathLengthMax: number;
  /** Undefined where any use of its key is allowed. */
  readonly keyUsage: { readonly digitalSignature: boolean; readonly certSign: boolean } | undefined;
  /** Object identifiers; undefined where any purpose is allowed. */
  readonly purposes: readonly string[] | undefined;
  /** Object identifiers of extensions that bind the certificate and are not understood. */
  readonly notUnderstood: readonly string[];
}

/** Object identifiers of the extensions that are read (RFC 5280, 4.2.1). */
export const EXTENSION = {
  KEY_USAGE: '2.5.29.15',
  SUBJECT_ALTERNATIVE_NAME: '2.5.29.17',
  BASIC_CONSTRAINTS: '2.5.29.19',
  NAME_CONSTRAINTS: '2.5.29.30',
  EXTENDED_KEY_USAGE: '2.5.29.37',
} as const;

const UNDERSTOOD = new Set<string>([
  EXTENSION.KEY_USAGE,
  EXTENSION.SUBJECT_ALTERNATIVE_NAME,
  EXTENSION.BASIC_CONSTRAINTS,
  EXTENSION.EXTENDED_KEY_USAGE,
]);

const DIGITAL_SIGNATURE_BIT = 0x80;
const CERT_SIGN_BIT = 0x04;

interface Extension {
  readonly critical: boolean;
  readonly value: Buffer;
}

/** Reads a certificate's fields (RFC 5280, 4.1 and 4.2). Fails with `DST_E_DER`. */
export function readCertificateFields(certificate: X509Certificate): CertificateFields {
  const [body, algorithm] = readConstructed(certificate.raw, DER_TAG.SEQUENCE);
  const [identifier] = readElements(expectTag(algorithm, DER_TAG.SEQUENCE).content);
  const extensions = readExtensions(expectTag(body, DER_TAG.SEQUENCE));
  return {
    signatureAlgorithm: readObjectIdentifier(identifier),
    ...readBasicConstraints(extensions.get(EXTENSION.BASIC_CONSTRAINTS)),
    keyUsage: readKeyUsage(extensions.get(EXTENSION.KEY_USAGE)),
    purposes: readPurposes(extensions.get(EXTENSION.EXTENDED_KEY_USAGE)),
    notUnderstood: [...extensions]
      .filter(([id, { critical }]) => id === EXTENSION.NAME_CONSTRAINTS || critical)
      .map(([id]) => id)
      .filter((id) => !UNDERSTOOD.has(id)),
  };
}

/** The content of one extension; undefined where there is none. Fails with `DST_E_DER`. */
export function readExtension(certificate: X509Certificate, id: string): Buffer | undefined {
  const [body] = readConstructed(certificate.raw, DER_TAG.SEQUENCE);
  return readExtensions(expectTag(body, DER_TAG.SEQUENCE)).get(id)?.value;
}

function readExtensions(body: DerElement): Map<string, Extension> {
  const extensions = new Map<string, Extension>();
  const wrapper = readElements(body.content).find(({ tag }) => tag === contextTag(3));
  if (wrapper === undefined) return extensions;
  for (const element of readConstructed(wrapper.content, DER_TAG.SEQUENCE)) {
    const parts = readElements(expectTag(element, DER_TAG.SEQUENCE).content);
    const value = expectTag(parts.at(-1), DER_TAG.OCTET_STRING).content;
    const critical = parts.length > 2 && readBoolean(parts[1]);
    const id = readObjectIdentifier(parts[0]);
    // The first of two would hide the second: RFC 5280 forbids it, and so no CA does it.
    expectTag(extensions.has(id) ? undefined : element, DER_TAG.SEQUENCE);
    extensions.set(id, { critical, value });
  }
  return extensions;
}

function readBasicConstraints(
  extension: Extension | undefined,
): Pick<CertificateFields, 'isAuthority' | 'pathLengthMax'> {
  if (extension === undefined) return { isAuthority: false, pathLengthMax: 0 };
  const [authority, pathLength] = readConstructed(extension.value, DER_TAG.SEQUENCE);
  return {
    isAuthority: authority !== undefined && readBoolean(authority),
    pathLengthMax: pathLength === undefined ? Infinity : readSmallInteger(pathLength),
  };
}

function readKeyUsage(extension: Extension | undefined): CertificateFields['keyUsage'] {
  if (extension === undefined) return undefined;
  // The first octet of a BIT STRING counts its unused bits.
  const bits = onlyElement(extension.value, DER_TAG.BIT_STRING).content[1] ?? 0;
  return {
    digitalSignature: (bits & DIGITAL_SIGNATURE_BIT) !== 0,
    certSign: (bits & CERT_SIGN_BIT) !== 0,
  };
}

function readPurposes(extension: Extension | undefined): string[] | undefined {
  if (extension === undefined) return undefined;
  return readConstructed(extension.value, DER_TAG.SEQUENCE).map(readObjectIdentifier);
}

function readBoolean(element: DerElement | undefined): boolean {
  return expectTag(element, DER_TAG.BOOLEAN).content[0] !== 0;
}
