import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/cli/duration.js';
import { DstError } from '../../src/errors.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const ANY = { minMs: 0, maxMs: 1000 * DAY_MS };

function refuses(text: string, says: RegExp, bounds = ANY): void {
  assert.throws(
    () => parseDuration('--lease', text, bounds),
    (error) =>
      error instanceof DstError && error.code === 'DST_E_DURATION' && says.test(error.message),
    text,
  );
}

describe('times', () => {
  for (const [text, durationMs] of [
    ['500ms', 500],
    ['5s', 5_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1d', DAY_MS],
    ['1.5s', 1_500],
    ['0.25m', 15_000],
    ['1.005s', 1_005],
    ['5 s', 5_000],
    ['0ms', 0],
  ] as const) {
    test(text, () => assert.equal(parseDuration('--lease', text, ANY), durationMs));
  }

  test('what is no time is refused, with how to write one', () => {
    for (const junk of ['', 'soon', '-1s', '1e3s', '5S', '5sec', '1,5s', '.5s', 's', '1h30m']) {
      refuses(junk, /^--lease .* is not a time: write it like 500ms, 5s, 2m or 1h$/);
    }
  });

  test('a bare number is refused, since it may mean anything', () => {
    refuses('5', /^--lease "5" has no unit: write 5s if you mean seconds$/);
  });

  test('bounds are named in the words that the option takes, and are themselves allowed', () => {
    const bounds = { minMs: 100, maxMs: 3_600_000 };
    refuses('99ms', /^--lease 99ms is out of range: give from 100ms to 1h$/, bounds);
    refuses('61m', /give from 100ms to 1h/, bounds);
    refuses('9'.repeat(400).concat('d'), /give from 100ms to 1h/, bounds);
    assert.equal(parseDuration('--lease', '100ms', bounds), 100);
    assert.equal(parseDuration('--lease', '60m', bounds), 3_600_000);
  });

  test('what is formatted is read again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: ANY.maxMs }), (durationMs) => {
        assert.equal(parseDuration('--lease', formatDuration(durationMs), ANY), durationMs);
      }),
    );
    assert.equal(formatDuration(90_000), '90s');
    assert.equal(formatDuration(120_000), '2m');
  });
});
