import assert from 'node:assert/strict';
import { test } from 'node:test';
import { iopsBound } from './bound.js';

const LINE = { rttMs: 50, loss: 0, bitsPerSecond: 1e9 };

test('latency allows as many commands as are in flight, each round trip', () => {
  const cell = { name: '', pattern: 'randread', blockBytes: 4096, depth: 32 } as const;
  assert.equal(iopsBound(cell, LINE), 640);
});

test('the line allows no more than it has room for', () => {
  const cell = { name: '', pattern: 'read', blockBytes: 125_000, depth: 1000 } as const;
  assert.equal(iopsBound(cell, LINE), 1000);
});
