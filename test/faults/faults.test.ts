/** The faults of `make faults`, short: they cost time, and nothing else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failures, runScenario, type Scenario, skipReason } from './scenario.js';
import {
  blackout,
  corrupted,
  frozen,
  killed,
  narrowed,
  rebinding,
  rebooted,
  reordered,
  roaming,
} from './scenarios.js';

const SHORT: readonly Scenario[] = [
  killed(3),
  blackout(5),
  rebinding(3, 3),
  roaming(2),
  reordered(3),
  corrupted(3),
  narrowed(4),
  frozen(6),
  rebooted(2),
];

/** Generous, since machines that run tests are slow and shared: `make faults` measures. */
const BACK_MS_MAX = 8_000;

// Side by side, since most of the time goes by in waiting.
describe('I/O goes on, without errors and without leaks, through', { concurrency: 4 }, () => {
  for (const scenario of SHORT) {
    test(scenario.fault, { skip: skipReason(scenario) }, async (t) => {
      const result = await runScenario(t, scenario);
      const { longestStallMs, longestBackMs, resent, reconnects, replayed } = result;
      t.diagnostic(JSON.stringify({ longestStallMs, longestBackMs, resent, reconnects, replayed }));
      assert.deepEqual(failures(result), []);
      if (longestBackMs !== undefined) assert.ok(longestBackMs < BACK_MS_MAX, `${longestBackMs}`);
    });
  }
});

test('without a replay buffer a reboot loses acked writes, and the load finds it out', async (t) => {
  const { ioErrors, verifyErrors } = await runScenario(t, {
    ...rebooted(1),
    connectArgs: ['--replay-buffer', '0'],
  });
  assert.equal(ioErrors, 0);
  assert.ok(verifyErrors > 0);
});
