import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BufferPool } from '../../src/block/buffer-pool.js';
import { BUFFER_POOL_SLAB_BYTES_MAX } from '../../src/limits.js';

test('a buffer has the length asked for, within a slab of a power of two', () => {
  const pool = new BufferPool();
  const payload = pool.acquire(5000);
  assert.equal(payload.buffer.length, 5000);
  assert.equal(payload.lengthBytes, 5000);
  assert.equal(pool.usedBytes, 8192);
});

test('a released buffer is used again', () => {
  const pool = new BufferPool();
  const first = pool.acquire(5000);
  first.release();
  assert.equal(pool.usedBytes, 0);
  assert.equal(pool.freeBytes, 8192);
  assert.equal(pool.acquire(8000).buffer.buffer, first.buffer.buffer);
  assert.equal(pool.freeBytes, 0);
});

test('a second release does nothing, so that no buffer has two owners', () => {
  const pool = new BufferPool();
  const payload = pool.acquire(4096);
  payload.release();
  payload.release();
  assert.equal(pool.freeBytes, 4096);
  assert.equal(pool.usedBytes, 0);
  assert.notEqual(pool.acquire(4096).buffer, pool.acquire(4096).buffer);
});

test('free buffers are kept up to the budget', () => {
  const pool = new BufferPool(8192);
  const payloads = [pool.acquire(4096), pool.acquire(4096), pool.acquire(4096)];
  for (const payload of payloads) payload.release();
  assert.equal(pool.freeBytes, 8192);
});

test('buffers above the largest slab are not kept', () => {
  const pool = new BufferPool();
  const payload = pool.acquire(BUFFER_POOL_SLAB_BYTES_MAX + 1);
  assert.equal(pool.usedBytes, BUFFER_POOL_SLAB_BYTES_MAX + 1);
  payload.release();
  assert.equal(pool.usedBytes, 0);
  assert.equal(pool.freeBytes, 0);
});
