import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, medianRatio, rotated, spread } from './statistics.js';

test('the median is the one in the middle, in whatever order they come', () => {
  assert.equal(median([30, 1, 200]), 30);
});

test('of an even number the median is between the two in the middle', () => {
  assert.equal(median([4, 1, 2, 100]), 3);
});

test('nothing has no median', () => {
  assert.equal(median([]), Number.NaN);
});

test('a spread goes from the lowest to the highest', () => {
  assert.deepEqual(spread([5, 3, 9]), { median: 5, lowest: 3, highest: 9 });
});

test('ratios are taken round by round, so that a slow moment counts for both', () => {
  // The machine was ten times slower in the second and third round, for either.
  const [ours, others] = [
    [200, 20, 30],
    [100, 10, 10],
  ];
  assert.equal(medianRatio(ours, others), 2);
});

test('each goes first in its turn, and the order stays', () => {
  const orders = [0, 1, 2, 3].map((round) => rotated(['a', 'b', 'c'], round).join(''));
  assert.deepEqual(orders, ['abc', 'bca', 'cab', 'abc']);
});

test('nobody can be rotated', () => {
  assert.deepEqual(rotated([], 3), []);
});
