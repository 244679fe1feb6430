import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FRAME_HEAD_SLAB_BYTES } from '../../src/limits.js';
import { encodeBody } from '../../src/protocol/encode.js';
import { writeHead } from '../../src/protocol/head-writer.js';

const EDGES = [0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff, 0x100000000];

const integer = fc.oneof(fc.constantFrom(...EDGES), fc.nat(), fc.maxSafeNat());
const digest = fc
  .constantFrom(0, 4, 16, 32, 64)
  .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));

test('a header is written byte for byte as msgpackr packs it', () => {
  fc.assert(
    fc.property(
      fc.array(integer, { minLength: 1, maxLength: 6 }),
      fc.option(digest, { nil: undefined }),
      (integers, bytes) => {
        const checksum = bytes && Buffer.from(bytes);
        const packed = encodeBody(checksum === undefined ? integers : [...integers, checksum]);
        const head = writeHead(integers, checksum, 0);
        assert.equal(head.toString('hex'), `${length(packed)}${packed.toString('hex')}`);
      },
    ),
  );
});

test('a payload is announced by the shortest bin that holds it', () => {
  const marker = (payloadBytes: number) => writeHead([], undefined, payloadBytes).toString('hex');
  assert.equal(marker(0), '0190');
  assert.equal(marker(0xff), '0190c4ff');
  assert.equal(marker(0x100), '0190c50100');
  assert.equal(marker(0xffff), '0190c5ffff');
  assert.equal(marker(0x10000), '0190c600010000');
});

test('a head stays as it is while others are written', () => {
  const first = writeHead([1, 2, 3], undefined, 0);
  const text = first.toString('hex');
  for (let written = 0; written < 2 * FRAME_HEAD_SLAB_BYTES; ) {
    written += writeHead([0xffffffff, 0xffffffff], Buffer.alloc(32, 0xff), 4096).length;
  }
  assert.equal(first.toString('hex'), text);
});

test('a header that its length could not tell is a mistake of ours', () => {
  assert.throws(() => writeHead([1], Buffer.alloc(127), 0), /a header of 131 bytes/);
});

function length(packed: Buffer): string {
  return packed.length.toString(16).padStart(2, '0');
}
