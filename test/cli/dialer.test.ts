import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadedOnce } from '../../src/cli/dialer.js';

test('what a dial needs is loaded once, and anew where that failed', async () => {
  const outcomes = [Promise.reject(new Error('half installed')), Promise.resolve('loaded')];
  let calls = 0;
  const load = loadedOnce(async () => outcomes[calls++]);
  await assert.rejects(load(), /half installed/);
  assert.equal(await load(), 'loaded');
  assert.equal(await load(), 'loaded');
  assert.equal(calls, 2);
});
