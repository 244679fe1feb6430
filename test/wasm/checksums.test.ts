import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import fc from 'fast-check';
import {
  CHECKSUM_NAMES,
  chooseChecksum,
  isChecksumName,
  isKeyable,
  loadChecksum,
} from '../../wasm/checksums.js';

/** From the algorithms' own publications and tools; BLAKE2b's are from Python's hashlib. */
const KNOWN = [
  ['blake3', '', 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  ['blake3', 'abc', '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85'],
  ['blake2b', '', '0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8'],
  ['blake2b', 'abc', 'bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319'],
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

/** What the BLAKE3 test vectors count up to and are keyed with. */
const VECTOR_MODULUS = 251;
const VECTOR_KEY = Buffer.from('whats the Elvish word for friend');

/** BLAKE3's from its own test vectors, BLAKE2b's from Python's hashlib. */
const KEYED = [
  ['blake3', 0, '92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26'],
  ['blake3', 1, '6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b'],
  ['blake3', 1024, '75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4'],
  ['blake2b', 0, 'b2df2a95ed65c7163b8f596407c085df36dc45589c37dc2a69873330c6d6cf14'],
  ['blake2b', 102_400, '8d9c7f5febc78ee8c24e50673a9044243c7785f88832e6ecbd87223e761a4414'],
] as const;

test('known keyed digests', async () => {
  for (const [name, lengthBytes, digest] of KEYED) {
    const checksum = await loadChecksum(name, VECTOR_KEY);
    const bytes = Buffer.alloc(lengthBytes);
    for (let at = 0; at < lengthBytes; at++) bytes[at] = at % VECTOR_MODULUS;
    assert.equal(checksum.digest([bytes]).toString('hex'), digest, `${name} ${lengthBytes}`);
  }
});

test('a key is refused by those that take none, and at any other length', async () => {
  for (const name of CHECKSUM_NAMES) {
    if (isKeyable(name)) await assert.rejects(loadChecksum(name, Buffer.alloc(31)), /key of 31/);
    else await assert.rejects(loadChecksum(name, VECTOR_KEY), /takes no key/);
  }
  assert.deepEqual(CHECKSUM_NAMES.filter(isKeyable), ['blake3', 'blake2b']);
});

test('a keyed digest depends on the key alone, even when its buffer changes', async () => {
  for (const name of CHECKSUM_NAMES.filter(isKeyable)) {
    const key = Buffer.alloc(32, 1);
    const keyed = await loadChecksum(name, key);
    const other = await loadChecksum(name, Buffer.alloc(32, 2));
    const plain = await loadChecksum(name);
    const pieces = [Buffer.from('abc')];
    const digest = keyed.digest(pieces);
    key.fill(9);
    assert.equal(keyed.matches(pieces, digest), true);
    assert.equal(other.matches(pieces, digest), false);
    assert.equal(plain.matches(pieces, digest), false);
  }
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
  const checksums = await Promise.all(REAL_NAMES.map((name) => loadChecksum(name)));
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
  const checksums = await Promise.all(REAL_NAMES.map((name) => loadChecksum(name)));
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
