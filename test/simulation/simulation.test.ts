/**
 * Seeds in virtual time: what was acked is there, whatever goes wrong. A seed that fails here
 * fails again, with its history, in `make simulate SEED=…`.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { loadChecksum } from '../../wasm/checksums.js';
import { Violation } from './checker.js';
import { CHECKSUM } from './export-process.js';
import { type Outcome, SABOTAGES, type Sabotage, simulate } from './world.js';

/** About ten seconds of work. */
const SEEDS = 300;

/** Of runs that may end so early: more would mean that the others are seldom put to the test. */
const TOLD_SHARE_MAX = 0.1;

const SEEDS_TO_FIND_SABOTAGE = 2_000;

/** Where the search begins: not far before the seed that finds it, as each before it costs time. */
const SEARCH_FROM: Partial<Record<Sabotage, number>> = {
  fence: 450,
  table: 90,
  'recorded ids': 110,
  'flush at resume': 190,
};
const TAIL_ENTRIES = 60;

before(() => loadChecksum(CHECKSUM));

test(`the first ${SEEDS} seeds lose nothing and hang nowhere`, async () => {
  let commands = 0;
  let restarts = 0;
  let told = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await simulate(seed);
    assert.equal(outcome.failure, undefined, describe(outcome));
    commands += outcome.commands;
    restarts += outcome.restarts;
    if (outcome.told) told++;
  }
  assert.ok(commands > SEEDS * 50, `only ${commands} commands`);
  assert.ok(restarts > SEEDS / 5, `only ${restarts} restarts of clients`);
  assert.ok(told < SEEDS * TOLD_SHARE_MAX, `${told} runs ended by DST_E_REPLAY_LOST`);
});

test('a seed replays exactly', async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const first = await simulate(seed);
    const second = await simulate(seed);
    assert.equal(first.history.digest(), second.history.digest(), `seed ${seed}`);
  }
});

for (const sabotage of SABOTAGES) {
  if (sabotage === 'recorded epoch') continue;
  test(`without the ${sabotage}, the checker finds wrong data`, () =>
    // A client that notices too late that it was taken over is another violation.
    finds(sabotage, /^block \d+ holds/));
}

// The export does not hear a connection whose epoch it has seen, so that no data is at stake.
test('without the recorded epoch, a client that is started again is refused', () =>
  finds('recorded epoch', /^an epoch was used twice/));

/** Some seed fails with such a violation. */
async function finds(sabotage: Sabotage, violation: RegExp): Promise<void> {
  const from = SEARCH_FROM[sabotage] ?? 1;
  for (let seed = from; seed <= SEEDS_TO_FIND_SABOTAGE; seed++) {
    const { failure } = await simulate(seed, sabotage);
    if (failure instanceof Violation && violation.test(failure.message)) return;
  }
  assert.fail(`nothing was found within ${SEEDS_TO_FIND_SABOTAGE} seeds`);
}

function describe({ seed, failure, history }: Outcome): string {
  return `${history.tail(TAIL_ENTRIES)}\nseed ${seed}: ${failure?.stack}`;
}
