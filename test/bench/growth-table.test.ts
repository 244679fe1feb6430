import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grewTooMuch, markdown, median } from './growth-table.js';

const BOUND = { timesMax: 1.5, plusMax: 10 };

test('a table has its numbers on the right, short', () => {
  assert.equal(
    markdown(
      ['sessions', 'MiB'],
      [
        ['one', 1.25],
        ['ten', 1234.5],
      ],
    ),
    [
      '| sessions |  MiB |',
      '| -------- | ---: |',
      '| one      |  1.3 |',
      '| ten      | 1235 |',
    ].join('\n'),
  );
});

test('what is more by share and by amount grew too much', () => {
  assert.match(grewTooMuch('memory', [100, 90, 151], BOUND) ?? '', /memory grew from 100 to 151/);
});

test('what is more by only one of the two did not', () => {
  assert.equal(grewTooMuch('memory', [100, 150], BOUND), undefined);
  assert.equal(grewTooMuch('memory', [2, 12], BOUND), undefined);
});

test('nothing measured is not well', () => {
  assert.match(grewTooMuch('memory', [], BOUND) ?? '', /nothing/);
});

test('a median is one of the figures', () => {
  assert.equal(median([5, 1, 9, 3]), 5);
});
