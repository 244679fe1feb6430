import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import fc from 'fast-check';
import {
  CHECKSUM_NAMES,
  chooseChecksum,
  createKeyedChecksum,
  isChecksumName,
  loadChecksum,
} from '../../wasm/checksums.js';

/** From the algorithms' own publications and command-line tools. */
const KNOWN = [
  ['blake3', '', 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  ['blake3', 'abc', '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85'],
  ['xxh128', '', '99aa06d3014798d86001c324468d497f'],
  ['xxh128', 'abc', '06b05ab6733a618578af5f94892f3950'],
  ['crc32c', '', '00000000'],
  ['crc32c', '123456789', 'e3069283'],
  ['sha256', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  ['none', 'abc', ''],
] as const;

const REAL_NAMES = CHECKSUM_NAMES.filter((name) => name !== 'none');

test('known digests', async () => {
  for (const [name, text, digest] of KNOWN) {
    const checksum = await loadChecksum(name);
    assert.equal(checksum.digest([Buffer.from(text)]).toString('hex'), digest, `${name} ${text}`);
  }
});

test('the keyed digest of no bytes, from the BLAKE3 test vectors', async () => {
  const checksum = await createKeyedChecksum(Buffer.from('whats the Elvish word for friend'));
  assert.equal(
    checksum.digest([]).toString('hex'),
    '92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26',
  );
});

test('a keyed digest depends on the key alone, even when its buffer changes', async () => {
  const key = Buffer.alloc(32, 1);
  const keyed = await createKeyedChecksum(key);
  const other = await createKeyedChecksum(Buffer.alloc(32, 2));
  const plain = await loadChecksum('blake3');
  const pieces = [Buffer.from('abc')];
  const digest = keyed.digest(pieces);
  key.fill(9);
  assert.equal(keyed.matches(pieces, digest), true);
  assert.equal(other.matches(pieces, digest), false);
  assert.equal(plain.matches(pieces, digest), false);
});

test("SHA-256 is Node's own", async () => {
  const checksum = await loadChecksum('sha256');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const expected = createHash('sha256').update(bytes).digest();
      assert.deepEqual(checksum.digest([Buffer.from(bytes)]), expected);
    }),
    { numRuns: 50 },
  );
});

test('every digest has the length that its checksum says', async () => {
  for (const name of CHECKSUM_NAMES) {
    const checksum = await loadChecksum(name);
    assert.equal(checksum.name, name);
    assert.equal(checksum.digest([Buffer.alloc(4096)]).length, checksum.digestBytes);
  }
});

test('how the bytes are cut into pieces does not matter', async () => {
  const checksums = await Promise.all(REAL_NAMES.map(loadChecksum));
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
      // Past hash-wasm's own 16 KiB window, so that its cuts fall within pieces.
      fc.integer({ min: 0, max: 40_000 }),
      (arrays, paddingBytes) => {
        const pieces = [
          ...arrays.map((array) => Buffer.from(array)),
          Buffer.alloc(paddingBytes, 7),
        ];
        const whole = Buffer.concat(pieces);
        for (const checksum of checksums) {
          assert.deepEqual(checksum.digest(pieces), checksum.digest([whole]), checksum.name);
          assert.equal(checksum.matches(pieces, checksum.digest([whole])), true, checksum.name);
        }
      },
    ),
    { numRuns: 30 },
  );
});

test('one flipped bit is noticed', async () => {
  const checksums = await Promise.all(REAL_NAMES.map(loadChecksum));
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 5000 }),
      fc.nat(),
      fc.nat(7),
      (array, position, bit) => {
        const bytes = Buffer.from(array);
        const digests = checksums.map((checksum) => checksum.digest([bytes]));
        const offset = position % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(offset) ^ (1 << bit), offset);
        for (const [index, checksum] of checksums.entries()) {
          assert.equal(checksum.matches([bytes], digests[index] ?? Buffer.alloc(0)), false);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('an expected digest of another length never matches', async () => {
  for (const name of CHECKSUM_NAMES) {
    const checksum = await loadChecksum(name);
    const digest = checksum.digest([]);
    assert.equal(checksum.matches([], digest), true);
    assert.equal(checksum.matches([], Buffer.concat([digest, Buffer.of(0)])), false);
    if (digest.length > 0) assert.equal(checksum.matches([], digest.subarray(1)), false);
  }
});

test('a digest stays what it was when others are computed', async () => {
  const checksum = await loadChecksum('xxh128');
  const first = checksum.digest([Buffer.from('abc')]);
  checksum.digest([Buffer.from('def')]);
  assert.equal(first.toString('hex'), '06b05ab6733a618578af5f94892f3950');
});

test('one instance of each algorithm is reused', async () => {
  assert.equal(await loadChecksum('blake3'), await loadChecksum('blake3'));
});

test("the export's order decides, and unknown names are passed over", () => {
  assert.equal(chooseChecksum(['crc32c', 'blake3'], ['blake3', 'crc32c']), 'blake3');
  assert.equal(chooseChecksum(['md5', 'crc32c'], ['blake3', 'crc32c']), 'crc32c');
  assert.equal(chooseChecksum(['none'], ['none']), 'none');
});

test('none in common is refused, with both lists', () => {
  assert.throws(() => chooseChecksum(['none', 'md5'], ['blake3']), {
    code: 'DST_E_CHECKSUM_NONE',
    message: /\["none","md5"\].*\["blake3"\]/,
  });
  assert.throws(() => chooseChecksum([], ['blake3']), {
    code: 'DST_E_CHECKSUM_NONE',
    message: /nothing/,
  });
});

test('names are recognised', () => {
  assert.equal(isChecksumName('blake3'), true);
  assert.equal(isChecksumName('md5'), false);
});
