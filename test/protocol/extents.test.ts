import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEVICE_BYTES_MAX, EXTENTS_PER_REPLY_MAX } from '../../src/limits.js';
import { encodeBody } from '../../src/protocol/encode.js';
import { decodeExtents, encodeExtents } from '../../src/protocol/extents.js';
import { refuses } from './errors.js';

const extent = fc.record(
  {
    lengthBytes: fc.integer({ min: 1, max: DEVICE_BYTES_MAX }),
    hole: fc.boolean(),
    zero: fc.boolean(),
  },
  { noNullPrototype: true },
);

test('extents read as what was written', () => {
  fc.assert(
    fc.property(fc.array(extent, { minLength: 1, maxLength: 50 }), (extents) => {
      assert.deepEqual(decodeExtents(encodeExtents(extents)), extents);
    }),
    { interruptAfterTimeLimit: 1_000 },
  );
});

test('no more extents are written than a reply may have', () => {
  const many = Array(EXTENTS_PER_REPLY_MAX + 1).fill({ lengthBytes: 1, hole: true, zero: true });
  assert.equal(decodeExtents(encodeExtents(many)).length, EXTENTS_PER_REPLY_MAX);
});

test('more extents than a reply may have are refused', () => {
  refuses(() => decodeExtents(encodeBody(Array(2 * EXTENTS_PER_REPLY_MAX + 2).fill(1))), /many/);
});

test('extents that are no array of pairs are refused', () => {
  for (const body of [[], [512], [512, 0, 512], {}, null, 'x', 7]) {
    refuses(() => decodeExtents(encodeBody(body)), /pairs/);
  }
});

test('an extent with a length or a state out of range is refused', () => {
  for (const pair of [
    [0, 0],
    [-1, 0],
    [0.5, 0],
    ['1', 0],
    [1, 4],
    [1, -1],
    [1, null],
  ]) {
    refuses(() => decodeExtents(encodeBody(pair)), /out of range/);
  }
  refuses(() => decodeExtents(encodeBody([DEVICE_BYTES_MAX + 1, 0])), /out of range/);
});
