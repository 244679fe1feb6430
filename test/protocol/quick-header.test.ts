import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DstError } from '../../src/errors.js';
import { encodeBody } from '../../src/protocol/encode.js';
import { decodeBody } from '../../src/protocol/header.js';
import { quickElements } from '../../src/protocol/quick-header.js';

const EDGES = [0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff, 0x100000000];

const element = fc.oneof(
  fc.constantFrom<unknown>(...EDGES),
  fc.maxSafeNat(),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
);
/** What no header has, but may well come. */
const stranger = fc.oneof(element, fc.constantFrom<unknown>(-1, -300, 0.5, null, true, 'text', []));

/** As msgpackr reads them; undefined where it would not. */
function slowly(bytes: Buffer): unknown {
  try {
    return decodeBody(bytes);
  } catch (error) {
    assert.ok(error instanceof DstError);
    return undefined;
  }
}

test('what our encoder writes is read, wherever it lies', () => {
  fc.assert(
    fc.property(fc.array(element, { maxLength: 8 }), fc.nat(5), (values, before) => {
      const header = encodeBody(values);
      const bytes = Buffer.concat([Buffer.alloc(before, 0xff), header, Buffer.alloc(9, 1)]);
      assert.deepEqual(quickElements(bytes, before, before + header.length), values);
    }),
  );
});

test('of damaged bytes nothing is read that msgpackr would read otherwise', () => {
  const header = fc.array(stranger, { maxLength: 8 }).map((values) => encodeBody(values));
  fc.assert(
    fc.property(header, fc.nat(), fc.nat(0xff), fc.nat(3), (packed, where, byte, cut) => {
      const bytes = Buffer.from(packed);
      bytes[where % bytes.length] = byte;
      const end = Math.max(1, bytes.length - cut);
      const read = quickElements(bytes, 0, end);
      if (read !== undefined) assert.deepEqual(read, slowly(bytes.subarray(0, end)));
    }),
    { numRuns: 2000 },
  );
});

test('a header that ends in the middle of an element is not read', () => {
  const header = encodeBody([0x80, 0x100, 0x10000, 2 ** 40, Buffer.alloc(4)]);
  for (let end = 1; end < header.length; end++) {
    assert.equal(quickElements(header, 0, end), undefined, `cut at ${end}`);
  }
});

test('a bin is a copy', () => {
  const header = encodeBody([Buffer.from('digest')]);
  const [digest] = quickElements(header, 0, header.length) ?? [];
  header.fill(0);
  assert.deepEqual(digest, Buffer.from('digest'));
});
