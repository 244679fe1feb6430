import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitForExport } from '../../src/client/wait-for-export.js';
import { DstError, type DstErrorCode } from '../../src/errors.js';
import { REDIAL_DELAY_MAX_MS, REDIAL_DELAY_MIN_MS } from '../../src/limits.js';
import { type Log, silentLog } from '../../src/log.js';
import { VirtualClock } from '../simulation/virtual-clock.js';

const HOUR_MS = 60 * 60 * 1000;

/** An export that answers the attempts to connect with these codes, and then lets one in. */
function setUp(codes: readonly DstErrorCode[], random = 0.5) {
  const clock = new VirtualClock();
  const attemptsMs: number[] = [];
  const lines: string[] = [];
  const log: Log = { ...silentLog, warn: (_: unknown, text?: string) => lines.push(text ?? '') };
  const controller = new AbortController();
  let ended: { value?: string; error?: unknown } | undefined;
  const waited = waitForExport(
    async () => {
      const code = codes[attemptsMs.length];
      attemptsMs.push(clock.nowMs());
      if (code !== undefined) throw new DstError(code, `it is ${code}`);
      return 'connected';
    },
    { log, clock, random: () => random, signal: controller.signal },
  );
  waited.then(
    (value) => {
      ended = { value };
    },
    (error) => {
      ended = { error };
    },
  );
  return {
    clock,
    attemptsMs,
    lines,
    abort: () => controller.abort(new Error('enough')),
    async end() {
      assert.ok(await clock.runUntil(() => ended !== undefined, HOUR_MS), 'it goes on and on');
      return ended ?? {};
    },
  };
}

test('an export that is there is connected to at once', async () => {
  const { end, attemptsMs, lines } = setUp([]);
  assert.deepEqual(await end(), { value: 'connected' });
  assert.deepEqual(attemptsMs, [0]);
  assert.deepEqual(lines, []);
});

for (const code of [
  'DST_E_RESOLVE',
  'DST_E_REFUSED',
  'DST_E_UNREACHABLE',
  'DST_E_GOING_AWAY',
  'DST_E_SESSIONS',
  'DST_E_CONNECTION_LOST',
  'DST_E_TIMEOUT',
  'DST_E_BUSY',
] as const) {
  test(`${code} is waited out`, async () => {
    const { end, attemptsMs } = setUp([code]);
    assert.deepEqual(await end(), { value: 'connected' });
    assert.equal(attemptsMs.length, 2);
  });
}

for (const code of [
  'DST_E_CERT_PIN',
  'DST_E_CERT_NAME',
  'DST_E_EXPORT_UNKNOWN',
  'DST_E_CHECKSUM_NONE',
  'DST_E_VERSION',
] as const) {
  test(`${code} is final, also after a wait`, async () => {
    const { end } = setUp(['DST_E_REFUSED', code]);
    assert.equal(((await end()).error as DstError).code, code);
  });
}

test('a broken invariant is not waited out', async () => {
  const waited = waitForExport(() => Promise.reject(new Error('broken')), { log: silentLog });
  await assert.rejects(waited, /broken/);
});

test('the delay doubles up to its bound, and stays there', async () => {
  const { end, attemptsMs } = setUp(Array(40).fill('DST_E_REFUSED'), 0.999_999);
  await end();
  const delaysMs = attemptsMs.slice(1).map((atMs, index) => atMs - (attemptsMs[index] ?? 0));
  assert.deepEqual(
    delaysMs.slice(0, 3).map(Math.round),
    [1, 2, 4].map((times) => times * REDIAL_DELAY_MIN_MS),
  );
  for (const delayMs of delaysMs) assert.ok(delayMs <= REDIAL_DELAY_MAX_MS);
  assert.equal(Math.round(delaysMs.at(-1) ?? 0), REDIAL_DELAY_MAX_MS);
});

test('the delay is jittered, by up to a half', async () => {
  const { end, attemptsMs } = setUp(['DST_E_REFUSED'], 0);
  await end();
  assert.deepEqual(attemptsMs, [0, REDIAL_DELAY_MIN_MS / 2]);
});

test('there is a log line a reason, not a line an attempt', async () => {
  const away = Array<DstErrorCode>(100).fill('DST_E_UNREACHABLE');
  const busy = Array<DstErrorCode>(100).fill('DST_E_BUSY');
  const { end, lines } = setUp([...away, ...busy]);
  await end();
  assert.deepEqual(lines, ['waiting: it is DST_E_UNREACHABLE', 'waiting: it is DST_E_BUSY']);
});

test('the signal ends the pause, and no more is tried', async () => {
  const { end, abort, attemptsMs, clock } = setUp(Array(1000).fill('DST_E_REFUSED'));
  await clock.runUntil(() => attemptsMs.length === 10, HOUR_MS);
  abort();
  assert.match(String((await end()).error), /enough/);
  assert.equal(attemptsMs.length, 10);
});
