/** The faults of `make faults`, short: they cost time, and nothing else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SCHEMES } from '../support/end-to-end.js';
import { concerns, failures, runScenario, type Scenario, skipReason } from './scenario.js';
import {
  blackout,
  corrupted,
  forgotten,
  frozen,
  jittery,
  killed,
  lossy,
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
  forgotten(3, 2),
  roaming(2),
  lossy(3),
  reordered(3),
  jittery(3),
  corrupted(3),
  narrowed(4),
  frozen(6),
  rebooted(2),
  overLanes(rebinding(3, 2), 3),
  overLanes(killed(2), 3),
];

/** The same over several connections, all of which the fault meets. */
function overLanes(scenario: Scenario, lanes: number): Scenario {
  const fault = `${scenario.fault}, over ${lanes} lanes`;
  return { ...scenario, fault, connectArgs: ['--lanes', `${lanes}`] };
}

/** A load that leaves the machine to the other tests: most of the time goes by in waiting. */
const LIGHT = { thinkMsMax: 480 };

/** Generous, since machines that run tests are slow and shared: `make faults` measures. */
const BACK_MS_MAX = 20_000;

describe('I/O goes on, without errors and without leaks, through', { concurrency: 6 }, () => {
  for (const scheme of SCHEMES) {
    for (const scenario of SHORT.filter((each) => concerns(each, scheme))) {
      test(`${scenario.fault} (${scheme})`, { skip: skipReason(scenario) }, async (t) => {
        const load = { ...LIGHT, ...scenario.load };
        const result = await runScenario(t, { ...scenario, load }, scheme);
        const { longestStallMs, longestBackMs, resent, reconnects, replayed } = result;
        t.diagnostic(
          JSON.stringify({ longestStallMs, longestBackMs, resent, reconnects, replayed }),
        );
        assert.deepEqual(failures(result), []);
        if (longestBackMs !== undefined) assert.ok(longestBackMs < BACK_MS_MAX, `${longestBackMs}`);
      });
    }
  }
});

test('without a replay buffer a reboot loses acked writes, and the load finds it out', async (t) => {
  const unkept = { ...rebooted(1), connectArgs: ['--replay-buffer', '0'] };
  const { ioErrors, verifyErrors } = await runScenario(t, unkept, 'quic');
  assert.equal(ioErrors, 0);
  assert.ok(verifyErrors > 0);
});
