import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lane } from '../../src/client/lane.js';
import { LaneKeeper } from '../../src/client/lane-keeper.js';
import type { Link } from '../../src/client/link.js';
import { LANES_AUTO_PROCESSORS_EACH, LANES_AUTO_SHORT_PATH_MAX } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { pass, VirtualClock } from '../support/virtual-time.js';

/** How many lanes "auto" wants on a path with that round trip, with so many processors. */
async function automatic(roundTripMs: number, processors: number): Promise<number> {
  const clock = new VirtualClock();
  const keeper = new LaneKeeper({
    clock,
    random: () => 0.5,
    log: silentLog,
    choice: 'auto',
    processors,
    open: () => new Promise<Lane>(() => {}),
  });
  const link = {
    welcome: { lanes: 16 },
    lanes: [0],
    roundTripMs,
    ping: () => Promise.resolve(roundTripMs),
    keep() {},
  };
  keeper.attach(link as unknown as Link);
  await pass(clock, 1);
  return keeper.count.wanted;
}

test('auto on a short path goes by the processors', async () => {
  assert.equal(await automatic(1, LANES_AUTO_PROCESSORS_EACH - 1), 1);
  assert.equal(await automatic(1, LANES_AUTO_PROCESSORS_EACH), 1);
  assert.equal(await automatic(1, 2 * LANES_AUTO_PROCESSORS_EACH), 2);
  assert.equal(await automatic(1, 128), LANES_AUTO_SHORT_PATH_MAX);
});
