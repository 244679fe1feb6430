/** Blocks whose content names the write that they came from. */

export const BLOCK_BYTES = 512;

/** What a block holds that was never written, or was trimmed or zeroed. */
export const ZERO = 0;

const WORD_BYTES = 4;
const VALUES_MAX = 2 ** 32;

/** Blocks that hold these values, one after the other. */
export function encodeBlocks(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * BLOCK_BYTES);
  const word = Buffer.alloc(WORD_BYTES);
  for (const [index, value] of values.entries()) {
    word.writeUInt32LE(value % VALUES_MAX);
    bytes.fill(word, index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
  }
  return bytes;
}

/** The values of whole blocks; undefined for one that is a mixture. */
export function decodeBlocks(bytes: Buffer): (number | undefined)[] {
  const values: (number | undefined)[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    // Each word is like the next one.
    const uniform = bytes.compare(
      bytes,
      at,
      at + BLOCK_BYTES - WORD_BYTES,
      at + WORD_BYTES,
      at + BLOCK_BYTES,
    );
    values.push(uniform === 0 ? bytes.readUInt32LE(at) : undefined);
  }
  return values;
}
