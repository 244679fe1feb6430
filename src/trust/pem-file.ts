import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { DstError } from '../errors.js';
import { PEM_FILE_BYTES_MAX } from '../limits.js';

const CERTIFICATE_BEGIN = '-----BEGIN CERTIFICATE-----';
const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const PRIVATE_KEY_BEGIN = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const ENCRYPTED_KEY = /-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/;
const READABLE_BY_OTHERS = 0o077;

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
  const { content } = readSmallFile(path, 'certificate', 'DST_E_CERT_FILE');
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
  const { content, mode } = readSmallFile(path, 'private key', 'DST_E_KEY_FILE');
  if ((mode & READABLE_BY_OTHERS) !== 0) {
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

/** The mode is of the very file that was read, whatever the path names a moment later. */
function readSmallFile(
  path: string,
  what: string,
  code: 'DST_E_CERT_FILE' | 'DST_E_KEY_FILE',
): { content: Buffer; mode: number } {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const { mode, size } = fstatSync(descriptor);
    if (size > PEM_FILE_BYTES_MAX) {
      throw new DstError(
        code,
        `the ${what} file ${path} is too large (${size} bytes of at most ${PEM_FILE_BYTES_MAX}): give a PEM file`,
      );
    }
    return { content: readFileSync(descriptor), mode };
  } catch (cause) {
    if (cause instanceof DstError) throw cause;
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new DstError(
      code,
      `the ${what} file ${path} cannot be read (${reason}): check the path and its permissions`,
      { cause },
    );
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
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
