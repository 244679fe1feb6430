import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinPayload, payloadOf, slicePieces } from '../../src/block/payload.js';

const payload = payloadOf([Buffer.from('abc'), Buffer.alloc(0), Buffer.from('defg')]);

function slice(offset: number, lengthBytes: number): string {
  return Buffer.concat(slicePieces(payload, offset, lengthBytes)).toString();
}

test('payloadOf adds up its pieces', () => {
  assert.equal(payload.lengthBytes, 7);
  assert.equal(payloadOf([]).lengthBytes, 0);
});

test('joinPayload joins the pieces in order', () => {
  assert.equal(joinPayload(payload).toString(), 'abcdefg');
  assert.equal(joinPayload(payloadOf([])).length, 0);
});

test('joinPayload returns a single piece itself', () => {
  const piece = Buffer.from('abc');
  assert.equal(joinPayload(payloadOf([piece])), piece);
});

test('slicePieces covers any range', () => {
  assert.equal(slice(0, 7), 'abcdefg');
  assert.equal(slice(1, 1), 'b');
  assert.equal(slice(2, 3), 'cde');
  assert.equal(slice(3, 4), 'defg');
  assert.equal(slice(7, 0), '');
});

test('slicePieces makes no copy and no empty piece', () => {
  const [piece, ...more] = slicePieces(payload, 3, 2);
  assert.equal(more.length, 0);
  assert.equal(piece?.buffer, payload.pieces[2]?.buffer);
});
