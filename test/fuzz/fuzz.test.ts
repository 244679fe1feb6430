/**
 * A few seconds of what `make fuzz` goes on with. The seeds are the same each time, so that what
 * fails here fails again with `make fuzz TARGET=… SEED=…`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../simulation/random.js';
import { mutated } from './mutate.js';
import { hello } from './scripts.js';
import { runSeed, TARGETS } from './targets.js';

const FIRST_SEED = 1;

/** Seeds that take about a second on a slow machine. */
const SEEDS: Readonly<Record<string, number>> = { export: 30, client: 200, nbd: 30 };

for (const name of Object.keys(TARGETS)) {
  const count = SEEDS[name] ?? 1;
  test(`${name}: ${count} seeds of mutated frames find nothing`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) await runSeed(name, seed);
  });
}

test('a seed gives the same bytes each time', () => {
  const bytesOf = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 20 }, () => mutated(hello(random), random));
  };
  assert.deepEqual(bytesOf(1), bytesOf(1));
  assert.notDeepEqual(bytesOf(1), bytesOf(2));
});
