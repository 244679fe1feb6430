import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../src/cli/exit.js';
import { parseLanes, parseLanesLimit } from '../../src/cli/lanes-option.js';
import { LANES_MAX } from '../../src/limits.js';

test('lanes are a number from 1 to LANES_MAX, or auto', () => {
  assert.equal(parseLanes('--lanes', '1'), 1);
  assert.equal(parseLanes('--lanes', `${LANES_MAX}`), LANES_MAX);
  assert.equal(parseLanes('--lanes', 'auto'), 'auto');
  for (const text of ['0', `${LANES_MAX + 1}`, '-1', '2.5', 'many', '']) {
    assert.throws(() => parseLanes('--lanes', text), UsageError, text);
  }
});

test('an export has a limit, or leaves it to its clients', () => {
  assert.equal(parseLanesLimit('--lanes', '4'), 4);
  assert.equal(parseLanesLimit('--lanes', 'auto'), LANES_MAX);
  assert.throws(() => parseLanesLimit('--lanes', '0'), UsageError);
});
