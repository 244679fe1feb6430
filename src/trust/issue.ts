// First: @peculiar/x509 resolves its parts through it while it is being imported.
import 'reflect-metadata';
import { KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  type Name,
  X509Certificate as ParsedCertificate,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { PURPOSE, type Purpose } from './certificate-checks.js';
import type { Host } from './host.js';

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' };

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A certificate and its private key (ECDSA P-256). */
export interface Issued {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/** Makes a self-signed authority that signs leaves only, with no authority below it. */
export async function issueAuthority(commonName: string, validity: Validity): Promise<Issued> {
  const keys = await newKeys();
  const extensions = [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
    await AuthorityKeyIdentifierExtension.create(keys.publicKey),
  ];
  const name = `CN=${commonName}`;
  return issue({ subject: name, issuer: name, validity, keys, extensions }, keys.privateKey);
}

/**
 * Makes a certificate for one end of a connection, signed by `authority`, whose key must be
 * ECDSA P-256. `hosts` are the names of a server; a client needs none.
 */
export async function issueLeaf(
  authority: Issued,
  leaf: { commonName: string; purpose: Purpose; hosts: readonly Host[]; validity: Validity },
): Promise<Issued> {
  const keys = await newKeys();
  // Parsed anew, so that the issuer's name is repeated octet for octet.
  const issuer = new ParsedCertificate(authority.certificate.raw);
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([PURPOSE[leaf.purpose]]),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
    await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
  ];
  if (leaf.hosts.length > 0) {
    const names = leaf.hosts.map(({ kind, value }) => ({ type: kind, value }));
    extensions.push(new SubjectAlternativeNameExtension(names));
  }
  const fields = {
    subject: `CN=${leaf.commonName}`,
    issuer: issuer.subjectName,
    validity: leaf.validity,
    keys,
    extensions,
  };
  return issue(fields, await signingKey(authority.key));
}

/** The serial number is left to the library: 128 random bits. */
async function issue(
  fields: {
    subject: string;
    issuer: string | Name;
    validity: Validity;
    keys: webcrypto.CryptoKeyPair;
    extensions: Extension[];
  },
  signing: webcrypto.CryptoKey,
): Promise<Issued> {
  const made = await X509CertificateGenerator.create({
    subject: fields.subject,
    issuer: fields.issuer,
    ...fields.validity,
    publicKey: fields.keys.publicKey,
    signingKey: signing,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: fields.extensions,
  });
  return {
    certificate: new X509Certificate(Buffer.from(made.rawData)),
    key: KeyObject.from(fields.keys.privateKey),
  };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, [
    'sign',
    'verify',
  ]) as Promise<webcrypto.CryptoKeyPair>;
}

function signingKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, false, ['sign']);
}
