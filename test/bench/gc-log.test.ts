import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Pause, summarisePauses } from './gc-log.js';

const PAUSES: readonly Pause[] = [
  [900, 50],
  [1000, 2],
  [1500, 8],
  [2000, 30],
];

test('only the pauses of the load count, as a share of its time', () => {
  assert.deepEqual(summarisePauses(PAUSES, 1000, 2000), { pauses: 2, share: 0.01, longestMs: 8 });
});

test('a load without collection has no pauses', () => {
  assert.deepEqual(summarisePauses(PAUSES, 3000, 4000), { pauses: 0, share: 0, longestMs: 0 });
});
