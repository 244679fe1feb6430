/**
 * What a device must hold, block by block. Each write gives its blocks a version of their own,
 * so that an older write's data is told from a newer one's, and another block's from this one's.
 */
import { invariant } from '../../src/errors.js';
import { seededRandom } from './random.js';

export const BLOCK_BYTES = 4096;

/** A new device's blocks, and zeroed ones. */
const ZEROES_VERSION = 0;

/** A run of blocks. */
export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

export class ExpectedBlocks {
  readonly #versions: Uint32Array;
  /** Blocks of commands in flight: their content has more than one right value. */
  readonly #taken: Uint8Array;
  readonly #scratch = Buffer.alloc(BLOCK_BYTES);
  #newestVersion = ZEROES_VERSION;

  constructor(sizeBytes: number) {
    const count = Math.floor(sizeBytes / BLOCK_BYTES);
    this.#versions = new Uint32Array(count);
    this.#taken = new Uint8Array(count);
  }

  get count(): number {
    return this.#versions.length;
  }

  /** Keeps a range from others until it is given back; false where part of it is taken. */
  take({ first, count }: BlockRange): boolean {
    for (let block = first; block < first + count; block++) {
      if (this.#taken[block] !== 0) return false;
    }
    this.#taken.fill(1, first, first + count);
    return true;
  }

  giveBack({ first, count }: BlockRange): void {
    this.#taken.fill(0, first, first + count);
  }

  /** New content for a range that was taken. It is expected from now on. */
  renew(range: BlockRange): Buffer {
    const version = ++this.#newestVersion;
    const data = Buffer.allocUnsafe(range.count * BLOCK_BYTES);
    for (let i = 0; i < range.count; i++) {
      this.#versions[range.first + i] = version;
      fill(data.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES), range.first + i, version);
    }
    return data;
  }

  /** Expects zeroes in a range that was taken. */
  clear({ first, count }: BlockRange): void {
    this.#versions.fill(ZEROES_VERSION, first, first + count);
  }

  /** What is wrong with a range's content, a line a block. */
  differences({ first, count }: BlockRange, data: Buffer): string[] {
    invariant(data.length === count * BLOCK_BYTES, 'the data covers the range');
    const lines: string[] = [];
    for (let i = 0; i < count; i++) {
      const found = data.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES);
      const block = first + i;
      const version = this.#versions[block] ?? ZEROES_VERSION;
      fill(this.#scratch, block, version);
      if (this.#scratch.equals(found)) continue;
      lines.push(`block ${block} should hold version ${version}, and holds ${describe(found)}`);
    }
    return lines;
  }
}

/** A block names itself and its version, and goes on with bytes that follow from both. */
function fill(bytes: Buffer, block: number, version: number): void {
  if (version === ZEROES_VERSION) {
    bytes.fill(0);
    return;
  }
  const random = seededRandom(Math.imul(block, 0x9e3779b1) ^ version);
  const step = Math.floor(random() * 2 ** 32) | 1;
  let word = Math.floor(random() * 2 ** 32);
  const words = new Uint32Array(BLOCK_BYTES / 4);
  for (let i = 0; i < words.length; i++) {
    word = (Math.imul(word, 0x01000193) + step) >>> 0;
    words[i] = word;
  }
  words[0] = block;
  words[1] = version;
  Buffer.from(words.buffer).copy(bytes);
}

function describe(bytes: Buffer): string {
  if (bytes.every((byte) => byte === 0)) return 'zeroes';
  return `what begins like version ${bytes.readUInt32LE(4)} of block ${bytes.readUInt32LE(0)}`;
}
