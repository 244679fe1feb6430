import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitOrStop } from '../../src/cli/wait-or-stop.js';
import { DstError } from '../../src/errors.js';
import { LEAVE_TIMEOUT_MS } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { VirtualClock } from '../simulation/virtual-clock.js';
import { failsWith } from '../transport/fixtures.js';

/** An attempt to connect that ends when a test says so, and a signal that has come meanwhile. */
function setUp() {
  const clock = new VirtualClock();
  let letIn: (device: { close(): Promise<void> }) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const attempt = new Promise<{ close(): Promise<void> }>((resolve, reject) => {
    letIn = resolve;
    fail = reject;
  });
  let attempts = 0;
  const connect = () => {
    attempts++;
    return attempt;
  };
  let closed = 0;
  const device = {
    close: async () => {
      closed++;
    },
  };
  let ended = false;
  const stop = Promise.resolve('SIGTERM');
  const waited = waitOrStop(connect, { wait: true, log: silentLog, clock, stop }).then((result) => {
    ended = true;
    return result;
  });
  return {
    clock,
    waited,
    letIn: () => letIn(device),
    fail: (error: Error) => fail(error),
    attempts: () => attempts,
    closed: () => closed,
    runUntilEnded: (withinMs: number) => clock.runUntil(() => ended, withinMs),
  };
}

test('an export that lets us in just after a signal is left again', async () => {
  const { clock, waited, letIn, closed, runUntilEnded } = setUp();
  clock.after(LEAVE_TIMEOUT_MS / 2, letIn);
  assert.ok(await runUntilEnded(LEAVE_TIMEOUT_MS));
  assert.equal(await waited, undefined);
  assert.equal(closed(), 1);
});

test('an export that says nothing is not waited for much longer after a signal', async () => {
  const { clock, waited, closed, runUntilEnded } = setUp();
  assert.ok(await runUntilEnded(2 * LEAVE_TIMEOUT_MS));
  assert.equal(clock.nowMs(), LEAVE_TIMEOUT_MS);
  assert.equal(await waited, undefined);
  assert.equal(closed(), 0);
});

test('after a signal an attempt that fails is the last, and ends it', async () => {
  const { clock, fail, attempts, runUntilEnded } = setUp();
  clock.after(1, () => fail(new DstError('DST_E_REFUSED', 'nothing there')));
  assert.ok(await runUntilEnded(LEAVE_TIMEOUT_MS));
  assert.equal(clock.nowMs(), 1);
  assert.equal(attempts(), 1);
});

test('without a signal the device is whose it is', async () => {
  const device = { close: () => assert.fail('it was closed') };
  const stop = new Promise<string>(() => {});
  assert.equal(await waitOrStop(async () => device, { wait: true, log: silentLog, stop }), device);
});

test('an export that cannot be reached is not tried again where it is not to be waited for', async () => {
  let attempts = 0;
  const connect = async () => {
    attempts++;
    throw new DstError('DST_E_REFUSED', 'nothing there');
  };
  const stop = new Promise<string>(() => {});
  const waiting = waitOrStop(connect, { wait: false, log: silentLog, stop });
  await assert.rejects(waiting, failsWith('DST_E_REFUSED'));
  assert.equal(attempts, 1);
});
