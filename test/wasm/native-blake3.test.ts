import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { NATIVE_HASH_BYTES_MIN } from '../../src/limits.js';
import { findAlgorithm } from '../../wasm/algorithms.js';
import { createChecksum } from '../../wasm/checksums.js';
import { createNativeBlake3 } from '../../wasm/native-blake3.js';

const { createHasher } = findAlgorithm('blake3');
assert.ok(createHasher !== undefined);

/** Both code paths of a checksum, and BLAKE3's own boundaries: chunks of 1 KiB, trees of them. */
const LENGTHS_BYTES = [
  ...[0, 1, 1023, 1024, 1025, 2049, NATIVE_HASH_BYTES_MIN - 1, NATIVE_HASH_BYTES_MIN],
  ...[65_537, 262_144],
];

for (const key of [undefined, randomBytes(32)]) {
  const about = key === undefined ? 'without a key' : 'keyed';

  test(`native digests are those of WebAssembly (${about})`, async () => {
    const native = await createNativeBlake3(key);
    assert.ok(native !== undefined, 'tests run where native code does');
    const hasher = await createHasher(key);
    const checksum = await createChecksum('blake3', key);
    for (const lengthBytes of LENGTHS_BYTES) {
      const bytes = randomBytes(lengthBytes);
      const cut = lengthBytes >> 1;
      const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)];
      const expected = Buffer.from(hasher.init().update(bytes).digest('binary'));
      assert.deepEqual(Buffer.from(native(pieces)), expected, `${lengthBytes} bytes`);
      assert.deepEqual(checksum.digest(pieces), expected, `${lengthBytes} bytes by a checksum`);
    }
  });
}

test('a machine for which there is no native code does without', async () => {
  const native = await createNativeBlake3(undefined, () => Promise.reject(new Error('no binding')));
  assert.equal(native, undefined);
});
