import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { DstError } from '../errors.js';
import { PEM_FILE_BYTES_MAX } from '../limits.js';
import { isOpenToOthers, readSmallFile, type SmallFileRules } from './small-file.js';

const CERTIFICATE_BEGIN = '-----BEGIN CERTIFICATE-----';
const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const PRIVATE_KEY_BEGIN = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const ENCRYPTED_KEY = /-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/;

const PEM_RULES = { bytesMax: PEM_FILE_BYTES_MAX, instead: 'a PEM file' };
const CERTIFICATE_RULES: SmallFileRules = {
  ...PEM_RULES,
  what: 'certificate',
  code: 'DST_E_CERT_FILE',
};
const KEY_RULES: SmallFileRules = { ...PEM_RULES, what: 'private key', code: 'DST_E_KEY_FILE' };

export interface CertificateFile {
  readonly pem: Buffer;
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]];
}

export interface PrivateKeyFile {
  readonly pem: Buffer;
  readonly key: KeyObject;
}

/** Reads a PEM file of one or more certificates (RFC 7468, 5). Fails with `DST_E_CERT_FILE`. */
export function readCertificateFile(path: string): CertificateFile {
  const { content } = readSmallFile(path, CERTIFICATE_RULES);
  const text = content.toString('latin1');
  const blocks = text.match(CERTIFICATE_BLOCK) ?? [];
  if (blocks.length !== text.split(CERTIFICATE_BEGIN).length - 1) throw notCertificates(path);
  const [first, ...rest] = blocks.map((block) => parseBlock(path, block));
  if (first === undefined) throw notCertificates(path);
  return { pem: content, certificates: [first, ...rest] };
}

/**
 * Reads an unencrypted private key in PEM that nobody but its owner can read. Fails with
 * `DST_E_KEY_FILE`, `DST_E_KEY_MODE` or `DST_E_KEY_ENCRYPTED`.
 */
export function readPrivateKeyFile(path: string): PrivateKeyFile {
  const { content, mode } = readSmallFile(path, KEY_RULES);
  if (isOpenToOthers(mode)) {
    throw new DstError(
      'DST_E_KEY_MODE',
      `the private key ${path} is open to other users (mode ${(mode & 0o777).toString(8)}): run chmod 600 ${path}, and make a new key if others use this machine`,
    );
  }
  const text = content.toString('latin1');
  if (ENCRYPTED_KEY.test(text)) {
    throw new DstError(
      'DST_E_KEY_ENCRYPTED',
      `the private key ${path} is encrypted: decrypt it with openssl pkey -in ${path} -out PLAIN-KEY and give that`,
    );
  }
  if (!PRIVATE_KEY_BEGIN.test(text)) throw notKey(path);
  try {
    return { pem: content, key: createPrivateKey(content) };
  } catch (cause) {
    throw notKey(path, cause);
  }
}

function parseBlock(path: string, block: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch (cause) {
    throw notCertificates(path, cause);
  }
}

function notCertificates(path: string, cause?: unknown): DstError {
  return new DstError(
    'DST_E_CERT_FILE',
    `${path} is not a file of PEM certificates: give one that begins with ${CERTIFICATE_BEGIN}`,
    { cause },
  );
}

function notKey(path: string, cause?: unknown): DstError {
  return new DstError(
    'DST_E_KEY_FILE',
    `${path} is not a private key in PEM: give one that begins with -----BEGIN PRIVATE KEY-----`,
    { cause },
  );
}
