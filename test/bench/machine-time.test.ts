import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idleShareSince, machineTime } from './machine-time.js';

test('idle is what had nothing to do or waited for a disk, and guests are not counted twice', () => {
  assert.deepEqual(machineTime('cpu  10 1 20 300 40 5 6 7 8 9\ncpu0 1 2 3 4\n'), {
    idleTicks: 340,
    allTicks: 389,
  });
});

test('the share is that of the time between', () => {
  const before = { idleTicks: 100, allTicks: 200 };
  assert.equal(idleShareSince(before, { idleTicks: 125, allTicks: 300 }), 0.25);
  assert.equal(idleShareSince(before, before), 0);
});
