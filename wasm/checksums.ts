import { timingSafeEqual } from 'node:crypto';
import hashWasm, { type IHasher } from 'hash-wasm';
import { DstError } from '../src/errors.js';

const { createBLAKE3, createCRC32, createSHA256, createXXHash128 } = hashWasm;

/** The names that the wire and the command line use, in the order that suits most exports. */
export const CHECKSUM_NAMES = ['blake3', 'xxh128', 'crc32c', 'sha256', 'none'] as const;

export type ChecksumName = (typeof CHECKSUM_NAMES)[number];

/**
 * A checksum over a payload's pieces. Computing is synchronous, so that one hasher serves
 * every transaction of its thread without their bytes ever mixing.
 */
export interface Checksum {
  readonly name: ChecksumName;
  /** Length of every digest; 0 for `none`. */
  readonly digestBytes: number;
  /** The digest of the pieces as one run of bytes, in a buffer of its own. */
  digest(pieces: readonly Buffer[]): Buffer;
  /** Whether `expected` is the digest of the pieces; false for one of another length. */
  matches(pieces: readonly Buffer[], expected: Buffer): boolean;
}

const BLAKE3_BITS = 256;

/** RFC 3720's CRC-32C (Castagnoli), with its bits reversed as hash-wasm takes it. */
const CRC32C_POLYNOMIAL = 0x82f63b78;

/**
 * Digests are what each algorithm's own tools print: BLAKE3 at its usual 256 bits, and
 * xxh128 and crc32c with the most significant byte first.
 */
const HASHERS: Record<Exclude<ChecksumName, 'none'>, () => Promise<IHasher>> = {
  blake3: () => createBLAKE3(BLAKE3_BITS),
  xxh128: () => createXXHash128(),
  crc32c: () => createCRC32(CRC32C_POLYNOMIAL),
  sha256: () => createSHA256(),
};

const NONE: Checksum = {
  name: 'none',
  digestBytes: 0,
  digest: () => Buffer.alloc(0),
  matches: (_pieces, expected) => expected.length === 0,
};

const loaded = new Map<ChecksumName, Promise<Checksum>>();

export function isChecksumName(text: string): text is ChecksumName {
  return (CHECKSUM_NAMES as readonly string[]).includes(text);
}

/** The checksum of this name: one instance in a thread, compiled at the first call. */
export function loadChecksum(name: ChecksumName): Promise<Checksum> {
  let checksum = loaded.get(name);
  if (checksum === undefined) {
    checksum = createChecksum(name);
    loaded.set(name, checksum);
  }
  return checksum;
}

/**
 * BLAKE3 keyed with 32 bytes, which nobody without the key can compute. An instance of its
 * own (about 100 KiB of memory) for each key.
 */
export async function createKeyedChecksum(key: Buffer): Promise<Checksum> {
  // hash-wasm reads the key again at each digest, so it gets a copy that stays unchanged.
  return new WasmChecksum('blake3', await createBLAKE3(BLAKE3_BITS, Uint8Array.from(key)));
}

/**
 * The checksum of a session: the first in the export's list that the client offers too.
 * Names that are not known are passed over. With none in common, DST_E_CHECKSUM_NONE.
 */
export function chooseChecksum(
  offered: readonly string[],
  allowed: readonly ChecksumName[],
): ChecksumName {
  const chosen = allowed.find((name) => offered.includes(name));
  if (chosen !== undefined) return chosen;
  throw new DstError(
    'DST_E_CHECKSUM_NONE',
    `the client offers the checksums ${listNames(offered)} and the export allows ${listNames(allowed)}: give them one in common with --checksum`,
  );
}

async function createChecksum(name: ChecksumName): Promise<Checksum> {
  return name === 'none' ? NONE : new WasmChecksum(name, await HASHERS[name]());
}

class WasmChecksum implements Checksum {
  readonly digestBytes: number;
  readonly #hasher: IHasher;

  constructor(
    readonly name: ChecksumName,
    hasher: IHasher,
  ) {
    this.#hasher = hasher;
    this.digestBytes = hasher.digestSize;
  }

  digest(pieces: readonly Buffer[]): Buffer {
    // A copy into Node's pool: a view would give each digest a whole ArrayBuffer to itself.
    return Buffer.from(this.#compute(pieces));
  }

  matches(pieces: readonly Buffer[], expected: Buffer): boolean {
    // Compared in constant time for the sake of keyed digests; it costs no more.
    return expected.length === this.digestBytes && timingSafeEqual(expected, this.#compute(pieces));
  }

  #compute(pieces: readonly Buffer[]): Uint8Array {
    const hasher = this.#hasher.init();
    for (const piece of pieces) hasher.update(piece);
    return hasher.digest('binary');
  }
}

/** Bounded and quoted, as a peer may have chosen the names. */
function listNames(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : JSON.stringify(names).slice(0, 200);
}
