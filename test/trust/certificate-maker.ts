import 'reflect-metadata';
import { KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import * as x509 from '@peculiar/x509';

// From here, as the module loads only once reflect-metadata has.
export { ExtendedKeyUsageExtension, Extension, KeyUsageFlags } from '@peculiar/x509';

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };

/** The moment at which the tests judge certificates. */
export const NOW = new Date('2030-06-15T12:00:00Z');
export const YESTERDAY = new Date('2030-06-14T12:00:00Z');
export const TOMORROW = new Date('2030-06-16T12:00:00Z');

export interface Made {
  readonly certificate: X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly subject: string;
}

export interface CertificateOptions {
  readonly subject?: string;
  /** Who signs it: itself when left out. */
  readonly issuer?: Made;
  readonly names?: x509.JsonGeneralNames;
  readonly authority?: boolean;
  readonly pathLength?: number;
  readonly keyUsage?: number;
  readonly purposes?: string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly hash?: string;
  readonly keys?: webcrypto.CryptoKeyPair;
  readonly signingAlgorithm?: webcrypto.Algorithm;
  readonly extensions?: x509.Extension[];
}

/** A certificate with just the extensions that a test asks for, good or bad. */
export async function makeCertificate(options: CertificateOptions = {}): Promise<Made> {
  const keys = options.keys ?? (await makeKeys());
  const subject = options.subject ?? 'CN=test';
  const extensions = [...(options.extensions ?? [])];
  if (options.authority !== undefined) {
    extensions.push(new x509.BasicConstraintsExtension(options.authority, options.pathLength));
  }
  if (options.keyUsage !== undefined) {
    extensions.push(new x509.KeyUsagesExtension(options.keyUsage, true));
  }
  if (options.purposes) extensions.push(new x509.ExtendedKeyUsageExtension(options.purposes));
  if (options.names) extensions.push(new x509.SubjectAlternativeNameExtension(options.names));
  const made = await x509.X509CertificateGenerator.create({
    subject,
    issuer: options.issuer?.subject ?? subject,
    notBefore: options.notBefore ?? YESTERDAY,
    notAfter: options.notAfter ?? TOMORROW,
    publicKey: keys.publicKey,
    signingKey: (options.issuer?.keys ?? keys).privateKey,
    signingAlgorithm: options.signingAlgorithm ?? {
      name: 'ECDSA',
      hash: options.hash ?? 'SHA-256',
    },
    extensions,
  });
  return { certificate: new X509Certificate(Buffer.from(made.rawData)), keys, subject };
}

export function makeAuthority(options: CertificateOptions = {}): Promise<Made> {
  return makeCertificate({ subject: 'CN=authority', authority: true, ...options });
}

/** A server's certificate for localhost, 127.0.0.1 and ::1. */
export function makeServer(
  issuer: Made | undefined,
  options: CertificateOptions = {},
): Promise<Made> {
  return makeCertificate({
    subject: 'CN=server',
    ...(issuer === undefined ? {} : { issuer }),
    names: [
      { type: 'dns', value: 'localhost' },
      { type: 'ip', value: '127.0.0.1' },
      { type: 'ip', value: '::1' },
    ],
    ...options,
  });
}

export async function makeKeys(
  algorithm: object = KEY_ALGORITHM,
): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(algorithm as webcrypto.EcKeyGenParams, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
}

export function keyPem({ keys }: Made): string {
  return KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString();
}

export function certificatePem(...made: Made[]): string {
  return made.map(({ certificate }) => certificate.toString()).join('');
}

/** A fresh directory that is gone after the test. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'dst-trust-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A file in a fresh directory. */
export function temporaryFile(t: TestContext, content: string | Buffer, mode = 0o600): string {
  const path = join(temporaryDirectory(t), 'file.pem');
  writeFileSync(path, content, { mode });
  return path;
}
