import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { nothing } from './scenarios.js';
import { table, withTable } from './table.js';

const ROW = { scenario: nothing(1), result: 'this machine is too old' };

describe('the table of faults', () => {
  test('has a line a scenario, all of one width, with the reason why one was not run', () => {
    const lines = table([ROW, ROW]).split('\n');
    assert.equal(lines.length, 4);
    assert.equal(new Set(lines.map((text) => text.length)).size, 1);
    assert.match(lines[2] ?? '', /^\| nothing, .* not run: this machine is too old/);
  });

  test('takes the place of the one on the page, and leaves the rest as it is', () => {
    const page = readFileSync(join(REPOSITORY_ROOT, 'docs', 'RELIABILITY.md'), 'utf8');
    const once = withTable(page, 'first');
    assert.ok(once.includes('\n\nfirst\n\n'));
    assert.equal(withTable(once, 'second'), withTable(page, 'second'));
    const made = /<!-- Made by .*<!-- The end of .*? -->/s;
    assert.equal(once.replace(made, ''), page.replace(made, ''));
  });

  test('is refused by a page that has no place for it', () => {
    assert.throws(() => withTable('a page', 'a table'), /the page has no/);
  });
});
