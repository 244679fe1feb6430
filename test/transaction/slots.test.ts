import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BATCH_BYTES_MAX,
  BATCH_TRANSACTION_BYTES_MAX,
  BATCH_TRANSACTIONS_MAX,
} from '../../src/limits.js';
import { Slots } from '../../src/transaction/slots.js';

/** The slots that so many copies of a size get, with ids from 1. */
function taken(slots: Slots<string>, count: number, creditBytes: number, batches = true): number[] {
  return Array.from({ length: count }, (_, at) => slots.take('it', at + 1, creditBytes, batches));
}

test('small ones share a slot until they go out', () => {
  const slots = new Slots<string>();
  assert.deepEqual(taken(slots, 3, 4096), [0, 0, 0]);
  slots.endBatch();
  assert.equal(slots.take('next', 4, 4096, true), 1);
  assert.equal(slots.count, 4);
  assert.equal(slots.bytes, 4 * 4096);
});

test('each has a slot of its own where they are not to share', () => {
  assert.deepEqual(taken(new Slots(), 3, 4096, false), [0, 1, 2]);
});

test('a large one has a slot of its own, and what comes after it another', () => {
  const slots = new Slots<string>();
  assert.equal(slots.take('small', 1, 0, true), 0);
  assert.equal(slots.take('large', 2, BATCH_TRANSACTION_BYTES_MAX + 1, true), 1);
  assert.equal(slots.take('small', 3, BATCH_TRANSACTION_BYTES_MAX, true), 2);
  assert.equal(slots.take('small', 4, 0, true), 2);
});

test('no more share a slot than the limits say', () => {
  const together = Math.floor(BATCH_BYTES_MAX / BATCH_TRANSACTION_BYTES_MAX);
  const bySize = new Set(taken(new Slots(), 4 * together, BATCH_TRANSACTION_BYTES_MAX));
  assert.equal(bySize.size, 4);
  assert.equal(new Set(taken(new Slots(), 2 * BATCH_TRANSACTIONS_MAX, 0)).size, 2);
});

test('a slot is free once all that it carries was answered', () => {
  const slots = new Slots<string>();
  taken(slots, 2, 512);
  slots.endBatch();
  assert.equal(slots.release(0, 2), 'it');
  assert.equal(slots.take('next', 3, 512, true), 1);
  slots.endBatch();
  assert.equal(slots.release(0, 1), 'it');
  assert.equal(slots.take('next', 4, 512, true), 0);
  assert.equal(slots.bytes, 2 * 512);
});

test('what a slot does not carry is not released', () => {
  const slots = new Slots<string>();
  taken(slots, 1, 512);
  slots.endBatch();
  assert.equal(slots.release(0, 2), undefined);
  assert.equal(slots.release(1, 1), undefined);
  assert.equal(slots.count, 1);
});
