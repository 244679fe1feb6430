import { timingSafeEqual } from 'node:crypto';
import type { IHasher } from 'hash-wasm';
import { DstError, invariant } from '../src/errors.js';
import { NATIVE_HASH_BYTES_MIN } from '../src/limits.js';
import { lengthOf } from '../src/pieces.js';
import { ALGORITHMS, CHECKSUM_KEY_BYTES, type ChecksumName, findAlgorithm } from './algorithms.js';
import { type HashPool, processPool } from './hash-pool.js';
import type { Digester } from './hash-thread.js';
import type { NativeHash } from './native-blake3.js';

export type { ChecksumName } from './algorithms.js';

/** The names that the wire and the command line use, in the order that suits most exports. */
export const CHECKSUM_NAMES: readonly ChecksumName[] = ALGORITHMS.map(({ name }) => name);

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
  /**
   * Like `digest`, by another thread, which never rejects; undefined where the digest is better
   * computed here, as for all that is small, or with no threads. Nothing is promised then, so
   * that most callers pay for none. The pieces are copied before this returns.
   */
  digestOffThread(pieces: readonly Buffer[]): Promise<Buffer> | undefined;
  /** Like `matches`, as `digestOffThread`. */
  matchesOffThread(pieces: readonly Buffer[], expected: Buffer): Promise<boolean> | undefined;
}

const NONE: Checksum = {
  name: 'none',
  digestBytes: 0,
  digest: () => Buffer.alloc(0),
  matches: (_pieces, expected) => expected.length === 0,
  digestOffThread: () => undefined,
  matchesOffThread: () => undefined,
};

const loaded = new Map<ChecksumName, Promise<Checksum>>();

export function isChecksumName(text: string): text is ChecksumName {
  return (CHECKSUM_NAMES as readonly string[]).includes(text);
}

/** Whether the checksum of this name can be keyed. */
export function isKeyable(name: ChecksumName): boolean {
  return findAlgorithm(name).keyable;
}

/**
 * The checksum of this name: without a key one instance in a thread, compiled at the first
 * call; with a key of CHECKSUM_KEY_BYTES an instance of its own (about 100 KiB of memory), whose
 * digests nobody without the key can compute. Rejects for a key where `isKeyable` says no.
 */
export function loadChecksum(name: ChecksumName, key?: Buffer): Promise<Checksum> {
  if (key !== undefined) return createChecksum(name, key);
  let checksum = loaded.get(name);
  if (checksum === undefined) {
    checksum = createChecksum(name);
    loaded.set(name, checksum);
  }
  return checksum;
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

/** As `loadChecksum`, never shared, with the threads that are to help. */
export async function createChecksum(
  name: ChecksumName,
  key?: Buffer,
  pool = processPool,
): Promise<Checksum> {
  const { createHasher, createNative, keyable, slow } = findAlgorithm(name);
  if (key !== undefined) {
    invariant(keyable, `${name} takes no key`);
    invariant(key.length === CHECKSUM_KEY_BYTES, `a key of ${key.length} bytes`);
  }
  if (createHasher === undefined) return NONE;
  // hash-wasm reads the key again at each digest, so it gets a copy that stays unchanged.
  const ownKey = key === undefined ? undefined : Uint8Array.from(key);
  const hasher = await createHasher(ownKey);
  const native = await createNative?.(ownKey);
  // To hand a payload to another thread would take longer than to hash it here.
  const helpers = slow && native === undefined ? pool : undefined;
  return new HasherChecksum(name, ownKey, hasher, native, helpers);
}

class HasherChecksum implements Checksum, Digester {
  readonly digestBytes: number;
  readonly #hasher: IHasher;
  readonly #native: NativeHash | undefined;
  readonly #pool: HashPool | undefined;

  constructor(
    readonly name: ChecksumName,
    readonly key: Uint8Array | undefined,
    hasher: IHasher,
    native: NativeHash | undefined,
    pool: HashPool | undefined,
  ) {
    this.#hasher = hasher;
    this.#native = native;
    this.#pool = pool;
    this.digestBytes = hasher.digestSize;
  }

  digest(pieces: readonly Buffer[]): Buffer {
    const digest = this.#compute(pieces);
    // A copy into Node's pool: hash-wasm gives each digest a whole ArrayBuffer to itself.
    return Buffer.isBuffer(digest) ? digest : Buffer.from(digest);
  }

  matches(pieces: readonly Buffer[], expected: Buffer): boolean {
    // Compared in constant time for the sake of keyed digests; it costs no more.
    return expected.length === this.digestBytes && timingSafeEqual(expected, this.#compute(pieces));
  }

  digestOffThread(pieces: readonly Buffer[]): Promise<Buffer> | undefined {
    return this.#pool?.digest(this, pieces);
  }

  matchesOffThread(pieces: readonly Buffer[], expected: Buffer): Promise<boolean> | undefined {
    return this.#pool
      ?.digest(this, pieces)
      ?.then((digest) => expected.length === digest.length && timingSafeEqual(expected, digest));
  }

  #compute(pieces: readonly Buffer[]): Uint8Array {
    const native = this.#native;
    if (native !== undefined && lengthOf(pieces) >= NATIVE_HASH_BYTES_MIN) return native(pieces);
    const hasher = this.#hasher.init();
    for (const piece of pieces) hasher.update(piece);
    return hasher.digest('binary');
  }
}

/** Bounded and quoted, as a peer may have chosen the names. */
function listNames(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : JSON.stringify(names).slice(0, 200);
}
