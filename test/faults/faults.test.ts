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

/** What is met by one pair of processes, in turn, as to start them costs more than the faults. */
const SHORT: readonly Scenario[] = [
  inTurn(killed(3), blackout(5), frozen(6)),
  inTurn(rebinding(3, 3), lossy(3), corrupted(3)),
  inTurn(reordered(3), narrowed(4)),
  inTurn(forgotten(3, 2), jittery(3)),
  roaming(2),
  rebooted(2),
  overLanes(inTurn(rebinding(3, 2), killed(2)), 3),
];

/** One scenario of several whose faults are on the same kind of relay, which stays. */
function inTurn(...scenarios: readonly Scenario[]): Scenario {
  const named = {
    name: scenarios.map(({ name }) => name).join('-'),
    fault: scenarios.map(({ fault }) => fault).join('; then '),
  };
  const link = scenarios[0]?.link;
  switch (link) {
    case 'relay':
      return { ...named, link, run: (rig) => runAll(scenarios, link, (each) => each.run(rig)) };
    case 'udp-relay':
      return { ...named, link, run: (rig) => runAll(scenarios, link, (each) => each.run(rig)) };
    case 'tcp-relay':
      return { ...named, link, run: (rig) => runAll(scenarios, link, (each) => each.run(rig)) };
    default:
      throw new Error(`no fault on ${link} leaves it as it was`);
  }
}

type On<Link extends Scenario['link']> = Extract<Scenario, { readonly link: Link }>;

async function runAll<Link extends Scenario['link']>(
  scenarios: readonly Scenario[],
  link: Link,
  run: (scenario: On<Link>) => Promise<readonly number[]>,
): Promise<readonly number[]> {
  const backMs: number[] = [];
  for (const each of scenarios) {
    assert.ok(isOn(each, link), `${each.name} is not on ${link}`);
    backMs.push(...(await run(each)));
  }
  return backMs;
}

function isOn<Link extends Scenario['link']>(scenario: Scenario, link: Link): scenario is On<Link> {
  return scenario.link === link;
}

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
