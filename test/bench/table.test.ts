import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Table } from './table.js';

const TABLE = new Table<readonly [string, number]>([
  { title: 'who', width: 5, words: true, text: ([name]) => name },
  { title: 'a long title', width: 3, text: ([, value]) => `${value}` },
]);

test('words begin at the left, figures end at the right, under their titles', () => {
  assert.equal(
    [TABLE.head(), TABLE.row(['we', 7]), TABLE.row(['peer', 1234])].join('\n'),
    [
      '| who   | a long title |',
      '| ----- | -----------: |',
      '| we    |            7 |',
      '| peer  |         1234 |',
    ].join('\n'),
  );
});

test('a text that is wider than its column is whole all the same', () => {
  assert.match(TABLE.row(['a stranger', 1]), /^\| a stranger \| +1 \|$/);
});
