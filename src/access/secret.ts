/**
 * A secret that an export and its clients share: proofs of holding it, and the keys that are
 * made of it (docs/PROTOCOL.md, "CHALLENGE and PROOF"). It leaves this file in no other form.
 */
import {
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import { CHECKSUM_KEY_BYTES } from '../../wasm/algorithms.js';
import { DstError, invariant } from '../errors.js';
import { EXPORT_NAME_BYTES_MAX, SECRET_BYTES_MIN, SECRET_FILE_BYTES_MAX } from '../limits.js';
import { NONCE_BYTES, SESSION_BYTES } from '../protocol/messages.js';
import { isOpenToOthers, readSmallFile, type SmallFileRules } from '../trust/small-file.js';

/** Who proves; what one has proved cannot be sent back as the other's proof. */
export type Prover = 'client' | 'export';

/** Of one length, so that what follows them begins at the same byte. */
const LABELS: Record<Prover, Buffer> = {
  client: Buffer.from('dst/1 client proof'),
  export: Buffer.from('dst/1 export proof'),
};
const CHECKSUM_KEY_LABEL = Buffer.from('dst/1 checksum key');

const SHA256_BYTES = 32;
/** What the in-memory transport shows for a certificate. */
const NO_CERTIFICATE = Buffer.alloc(SHA256_BYTES);

const RECIPE = 'one with: head -c 32 /dev/urandom | base64';

const FILE_RULES: SmallFileRules = {
  what: 'secret',
  code: 'DST_E_SECRET_FILE',
  bytesMax: SECRET_FILE_BYTES_MAX,
  instead: RECIPE,
};

/** The connection for which something is proved: a proof is worth nothing on any other. */
export interface ProofContext {
  /** Of HELLO. */
  readonly clientNonce: Buffer;
  /** Of CHALLENGE. */
  readonly exportNonce: Buffer;
  readonly session: Buffer;
  readonly epoch: number;
  readonly exportName: string;
  /** SHA-256 of the export's certificate, as this side sees it; none in memory. */
  readonly certificateSha256: Buffer | undefined;
}

export class Secret {
  readonly #key: KeyObject;

  /** Copies the bytes, of which there must be SECRET_BYTES_MIN at least. */
  constructor(bytes: Buffer) {
    invariant(bytes.length >= SECRET_BYTES_MIN, `a secret of ${bytes.length} bytes`);
    this.#key = createSecretKey(bytes);
  }

  /** The proof (PROOF_BYTES) of one side that it holds the secret. */
  prove(prover: Prover, context: ProofContext): Buffer {
    const hmac = createHmac('sha256', this.#key);
    return hmac.update(LABELS[prover]).update(encodeContext(context)).digest();
  }

  /** Whether this is that side's proof; takes the same time wherever it differs. */
  verify(prover: Prover, context: ProofContext, proof: Buffer): boolean {
    const expected = this.prove(prover, context);
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }

  /** The key of a session's checksums (CHECKSUM_KEY_BYTES): the same on all its connections. */
  checksumKey(session: Buffer, exportName: string): Buffer {
    // A digest of the name, as the information for HKDF is bounded where names are longer.
    const name = createHash('sha256').update(exportName).digest();
    const info = Buffer.concat([CHECKSUM_KEY_LABEL, name]);
    return Buffer.from(hkdfSync('sha256', this.#key, session, info, CHECKSUM_KEY_BYTES));
  }
}

/**
 * Reads a secret from a file: its bytes as they are, without one end of line (LF or CRLF).
 *
 * Throws DST_E_SECRET_FILE (missing, unreadable or too large), DST_E_SECRET_MODE (others may
 * read or write it) or DST_E_SECRET_SHORT.
 */
export function loadSecret(path: string): Secret {
  const { content, mode } = readSmallFile(path, FILE_RULES);
  try {
    if (isOpenToOthers(mode)) {
      throw new DstError(
        'DST_E_SECRET_MODE',
        `the secret file ${path} is open to other users (mode ${(mode & 0o777).toString(8)}): run chmod 600 ${path}, and make a new secret if others use this machine`,
      );
    }
    const bytes = withoutLineEnd(content);
    if (bytes.length < SECRET_BYTES_MIN) throw tooShort(path, bytes.length);
    return new Secret(bytes);
  } finally {
    content.fill(0);
  }
}

function tooShort(path: string, lengthBytes: number): DstError {
  return new DstError(
    'DST_E_SECRET_SHORT',
    `the secret in ${path} has ${lengthBytes} bytes, and needs at least ${SECRET_BYTES_MIN}: make ${RECIPE}`,
  );
}

function withoutLineEnd(content: Buffer): Buffer {
  if (content.at(-1) !== 0x0a) return content;
  return content.subarray(0, content.at(-2) === 0x0d ? -2 : -1);
}

/** Every field is of a fixed length, or preceded by its length: no two contexts are alike. */
function encodeContext(context: ProofContext): Buffer {
  const { clientNonce, exportNonce, session, epoch, exportName } = context;
  const certificate = context.certificateSha256 ?? NO_CERTIFICATE;
  const name = Buffer.from(exportName);
  invariant(clientNonce.length === NONCE_BYTES, `a nonce of ${clientNonce.length} bytes`);
  invariant(exportNonce.length === NONCE_BYTES, `a nonce of ${exportNonce.length} bytes`);
  invariant(session.length === SESSION_BYTES, `a session id of ${session.length} bytes`);
  invariant(certificate.length === SHA256_BYTES, `a digest of ${certificate.length} bytes`);
  invariant(name.length <= EXPORT_NAME_BYTES_MAX, `a name of ${name.length} bytes`);
  const epochBytes = Buffer.alloc(8);
  epochBytes.writeBigUInt64BE(BigInt(epoch));
  const nameLength = Buffer.alloc(2);
  nameLength.writeUInt16BE(name.length);
  return Buffer.concat([
    clientNonce,
    exportNonce,
    session,
    epochBytes,
    certificate,
    nameLength,
    name,
  ]);
}
