/** The registry of checksum algorithms: what each is called, whether a key fits it, its maker. */
import hashWasm, { type IHasher } from 'hash-wasm';
import { invariant } from '../src/errors.js';
import { createNativeBlake3, type NativeHash } from './native-blake3.js';

const { createBLAKE2b, createBLAKE3, createCRC32, createSHA256, createXXHash128 } = hashWasm;

export interface Algorithm {
  /** As the wire and the command line write it. */
  readonly name: string;
  /** Length of every digest; 0 for `none`. */
  readonly digestBytes: number;
  /** Whether it takes a key, without which nobody can compute its digests. */
  readonly keyable: boolean;
  /** Whether hashing a large payload takes much longer than to hand it to another thread. */
  readonly slow: boolean;
  /** A hasher of its own; with a key only where it is keyable. Absent for `none`. */
  readonly createHasher?: (key?: Uint8Array) => Promise<IHasher>;
  /** The same in native code, for large payloads; undefined where this machine has none. */
  readonly createNative?: (key?: Uint8Array) => Promise<NativeHash | undefined>;
}

/** Of every key. */
export const CHECKSUM_KEY_BYTES = 32;

const STRONG_BITS = 256;

/** RFC 3720's CRC-32C (Castagnoli), with its bits reversed as hash-wasm takes it. */
const CRC32C_POLYNOMIAL = 0x82f63b78;

/**
 * In the order that suits most exports: those that take a key and notice any change, then the
 * quick ones that notice accidents. Digests are what each algorithm's own tools print: BLAKE2b
 * and BLAKE3 at 256 bits, and xxh128 and crc32c with the most significant byte first.
 */
export const ALGORITHMS = [
  {
    name: 'blake3',
    digestBytes: 32,
    keyable: true,
    slow: true,
    createHasher: (key?: Uint8Array) => createBLAKE3(STRONG_BITS, key),
    createNative: (key?: Uint8Array) => createNativeBlake3(key),
  },
  {
    name: 'blake2b',
    digestBytes: 32,
    keyable: true,
    slow: true,
    createHasher: (key?: Uint8Array) => createBLAKE2b(STRONG_BITS, key),
  },
  {
    name: 'xxh128',
    digestBytes: 16,
    keyable: false,
    slow: false,
    createHasher: () => createXXHash128(),
  },
  {
    name: 'crc32c',
    digestBytes: 4,
    keyable: false,
    slow: false,
    createHasher: () => createCRC32(CRC32C_POLYNOMIAL),
  },
  {
    name: 'sha256',
    digestBytes: 32,
    keyable: false,
    slow: true,
    createHasher: () => createSHA256(),
  },
  { name: 'none', digestBytes: 0, keyable: false, slow: false },
] as const satisfies readonly Algorithm[];

export type ChecksumName = (typeof ALGORITHMS)[number]['name'];

/** The algorithm of this name, which must be one of those above. */
export function findAlgorithm(name: string): Algorithm {
  const found = ALGORITHMS.find((each) => each.name === name);
  invariant(found !== undefined, `no checksum is called ${name}`);
  return found;
}
