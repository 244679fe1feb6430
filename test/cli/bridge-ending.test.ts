import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BridgeEnding } from '../../src/cli/bridge-ending.js';
import { DstError } from '../../src/errors.js';
import { SHUTDOWN_GRACE_MS } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { VirtualClock } from '../simulation/virtual-clock.js';
import { soon } from '../support/wait.js';
import { failsWith } from '../transport/fixtures.js';

const REFUSAL = new DstError('DST_E_TAKEN_OVER', 'another client took the store');

/** A bridge that has so many clients, and an export that answers a flush or does not. */
function setUp({ clients = 0, answers = true } = {}) {
  const clock = new VirtualClock();
  const steps: string[] = [];
  const bridge = {
    uri: 'nbd+unix:///disk?socket=/x',
    stats: { clients, inFlight: 0, inFlightBytes: 0, commands: 0 },
    retire: () => new Promise<void>(() => {}),
    close: async () => void steps.push('bridge closed'),
  };
  const device = {
    capabilities: { readOnly: false },
    flush: async () => {
      steps.push('flush');
      if (!answers) await new Promise(() => {});
    },
    close: async () => void steps.push('device closed'),
  };
  const ending = new BridgeEnding({ bridge, device, log: silentLog, clock });
  let ended = false;
  void ending.asked.then(() => {
    ended = true;
  });
  return { ending, clock, steps, isEnded: () => ended };
}

test('what nobody uses is flushed before it ends', async () => {
  const { ending, steps } = setUp();
  await ending.disconnect(false);
  assert.deepEqual(steps, ['flush', 'bridge closed', 'flush', 'device closed']);
  assert.equal(await ending.asked, 'disconnect');
});

test('while NBD clients are connected it serves on, unless by force', async () => {
  const { ending, steps, isEnded } = setUp({ clients: 2 });
  await assert.rejects(ending.disconnect(false), {
    code: 'DST_E_DEVICE_BUSY',
    message: /^nbd\+unix:\S+ is in use: 2 NBD clients are connected/,
  });
  assert.deepEqual([steps, isEnded()], [[], false]);
  await ending.disconnect(true);
  assert.deepEqual(steps, ['bridge closed', 'flush', 'device closed']);
});

test('where the export does not confirm a flush it serves on', async () => {
  const { ending, clock, steps, isEnded } = setUp({ answers: false });
  let failure: unknown;
  void ending.disconnect(false).catch((error: unknown) => {
    failure = error;
  });
  assert.ok(await clock.runUntil(() => failure !== undefined, SHUTDOWN_GRACE_MS));
  assert.ok(failsWith('DST_E_UNFLUSHED')(failure as Error));
  assert.deepEqual([steps, isEnded()], [['flush'], false]);
});

test('whom the export has refused is told why, and ends', async () => {
  const { ending, steps } = setUp();
  const outliving = ending.outliveSession(REFUSAL, new Promise(() => {}));
  await assert.rejects(ending.disconnect(false), REFUSAL);
  await soon(outliving, 'the end');
  assert.ok(!steps.includes('flush'));
  assert.ok(steps.includes('device closed'));
});
