import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DialRequest } from '../../src/client/dial.js';
import { Redialer } from '../../src/client/redialer.js';
import {
  CONNECT_TIMEOUT_MS,
  DIAL_ATTEMPT_TIMEOUT_MS,
  DIAL_ATTEMPTS_AT_ONCE_MAX,
  DIAL_OVERLAP_MS,
  PATIENT_DIAL_EVERY,
  REDIAL_DELAY_IDLE_MAX_MS,
  REDIAL_DELAY_MAX_MS,
  REDIAL_DELAY_MIN_MS,
} from '../../src/limits.js';
import { pass, VirtualClock } from '../support/virtual-time.js';

/** A random number so close to 1 that delays are not shortened. */
const LONGEST = 1 - Number.EPSILON;

type Outcome = 'fails' | 'hangs';

/** A redialer whose attempts are noted, and end as told. */
function newRedialer(options: { outcome?: Outcome; random?: number; urgent?: boolean } = {}) {
  const clock = new VirtualClock();
  const state = { outcome: options.outcome ?? 'fails', urgent: options.urgent ?? true };
  const requests: DialRequest[] = [];
  const startedMs: number[] = [];
  const redialer = new Redialer({
    clock,
    random: () => options.random ?? LONGEST,
    urgent: () => state.urgent,
    attempt: async (request) => {
      requests.push(request);
      startedMs.push(clock.nowMs());
      if (state.outcome === 'fails') return;
      await new Promise<void>((resolve) => {
        request.signal.addEventListener('abort', () => resolve());
        clock.after(request.timeoutMs, resolve);
      });
    },
  });
  /** Times between the attempts so far. */
  const gapsMs = () => startedMs.slice(1).map((atMs, i) => Math.round(atMs - (startedMs[i] ?? 0)));
  return { clock, redialer, requests, startedMs, state, gapsMs };
}

test('the first attempt is made at once', () => {
  const { redialer, requests } = newRedialer();
  redialer.start();
  assert.equal(requests.length, 1);
  assert.equal(requests[0]?.attempt, 0);
  assert.equal(requests[0]?.timeoutMs, DIAL_ATTEMPT_TIMEOUT_MS);
  assert.equal(redialer.running, true);
});

test('after quick failures it waits 20 ms, and twice as long each time, up to a second', async () => {
  const { clock, redialer, gapsMs } = newRedialer();
  redialer.start();
  await pass(clock, 10_000);
  assert.deepEqual(gapsMs().slice(0, 8), [20, 40, 80, 160, 320, 640, 1000, 1000]);
  assert.equal(REDIAL_DELAY_MIN_MS, 20);
});

test('jitter takes up to half of each delay', async () => {
  const { clock, redialer, gapsMs } = newRedialer({ random: 0 });
  redialer.start();
  await pass(clock, 3_000);
  assert.deepEqual(gapsMs().slice(0, 8), [10, 20, 40, 80, 160, 320, 500, 500]);
});

for (const random of [0, LONGEST]) {
  test(`the next attempt does not wait for the last (jitter ${Math.round(random)})`, async () => {
    const { clock, redialer, requests, gapsMs } = newRedialer({ outcome: 'hangs', random });
    redialer.start();
    await pass(clock, DIAL_ATTEMPT_TIMEOUT_MS - 1);
    assert.ok(requests.length >= 3);
    const expectedMs = random === 0 ? DIAL_OVERLAP_MS / 2 : DIAL_OVERLAP_MS;
    assert.ok(gapsMs().every((gapMs) => gapMs === expectedMs));
    assert.deepEqual(
      requests.map(({ attempt }) => attempt),
      requests.map((_, at) => at),
    );
  });
}

test('only so many attempts are under way at once: the oldest makes room', async () => {
  const { clock, redialer, requests } = newRedialer({ outcome: 'hangs', random: 0 });
  redialer.start();
  await pass(clock, DIAL_ATTEMPT_TIMEOUT_MS - 1);
  const aborted = requests.map(({ signal }) => signal.aborted);
  const pending = aborted.filter((each) => !each);
  assert.equal(pending.length, DIAL_ATTEMPTS_AT_ONCE_MAX);
  assert.deepEqual(aborted.slice(-DIAL_ATTEMPTS_AT_ONCE_MAX), pending);
});

test('while no I/O waits the delay grows to ten seconds', async () => {
  const { clock, redialer, gapsMs } = newRedialer({ urgent: false });
  redialer.start();
  await pass(clock, 100_000);
  assert.ok(Math.max(...gapsMs()) > REDIAL_DELAY_MAX_MS);
  assert.equal(gapsMs().at(-1), REDIAL_DELAY_IDLE_MAX_MS);
});

test('I/O that begins to wait ends a long pause, and keeps the next ones short', async () => {
  const { clock, redialer, requests, state, gapsMs } = newRedialer({ urgent: false });
  redialer.start();
  await pass(clock, 100_000);
  const before = requests.length;
  state.urgent = true;
  redialer.hurry();
  assert.equal(requests.length, before + 1);
  redialer.hurry();
  assert.equal(requests.length, before + 1, 'the pause is short already');
  await pass(clock, 5_000);
  assert.ok(
    gapsMs()
      .slice(before)
      .every((gapMs) => gapMs <= REDIAL_DELAY_MAX_MS),
  );
});

test('hurry() does nothing while nothing is dialled', () => {
  const { redialer, requests } = newRedialer();
  redialer.hurry();
  assert.equal(requests.length, 0);
});

test('stop() aborts what is pending, and nothing follows', async () => {
  const { clock, redialer, requests } = newRedialer({ outcome: 'hangs' });
  redialer.start();
  await pass(clock, 1.5 * DIAL_OVERLAP_MS);
  redialer.stop();
  assert.equal(redialer.running, false);
  assert.equal(requests.length, 2);
  assert.ok(requests.every(({ signal }) => signal.aborted));
  await pass(clock, 100_000);
  assert.equal(requests.length, 2);
});

test('start() while it runs does not begin anew', async () => {
  const { clock, redialer, requests } = newRedialer({ outcome: 'hangs' });
  redialer.start();
  redialer.start();
  await pass(clock, 10);
  assert.equal(requests.length, 1);
});

test('connections that are of no use are not redialled at full speed', async () => {
  const { clock, redialer, requests, gapsMs } = newRedialer({ outcome: 'hangs' });
  for (let connection = 0; connection < 8; connection++) {
    const before = requests.length;
    redialer.start();
    await clock.runUntil(() => requests.length > before, 60_000);
    // It was welcomed, and is lost before it has answered anything.
    redialer.stop();
  }
  assert.deepEqual(gapsMs(), [20, 40, 80, 160, 320, 640, 1000]);
});

test('a connection that was of use makes the next first attempt immediate again', async () => {
  const { clock, redialer, requests } = newRedialer();
  redialer.start();
  await pass(clock, 5_000);
  redialer.stop();
  redialer.succeeded();
  const before = requests.length;
  redialer.start();
  assert.equal(requests.length, before + 1);
});

test('one attempt at a time is patient, and left alone: a line may need long for a dial', async () => {
  const { clock, redialer, requests } = newRedialer({ outcome: 'hangs' });
  redialer.start();
  await pass(clock, CONNECT_TIMEOUT_MS - 1);
  const patient = requests.filter(({ timeoutMs }) => timeoutMs === CONNECT_TIMEOUT_MS);
  assert.equal(patient.length, 1);
  assert.equal(patient[0]?.attempt, PATIENT_DIAL_EVERY - 1);
  assert.equal(patient[0]?.signal.aborted, false);
  redialer.stop();
  assert.equal(patient[0]?.signal.aborted, true);
});
