import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QuicProbe } from '../../src/client/route/quic-probe.js';
import { QUIC_PROBE_INTERVAL_MAX_MS, QUIC_PROBE_INTERVAL_MS } from '../../src/limits.js';
import type { Connection } from '../../src/transport/transport.js';
import { pass, VirtualClock } from '../support/virtual-time.js';
import { type Answer, FakeTransport } from './fake-transport.js';

/** A random number so close to 1 that delays are not shortened. */
const LONGEST = 1 - Number.EPSILON;
const HOUR_MS = 60 * 60 * 1000;

function newProbe({ answer = 'none' as Answer, random = LONGEST } = {}) {
  const clock = new VirtualClock();
  const quic = new FakeTransport('quic', clock, answer);
  const state = { wanted: true };
  const reached: Connection[] = [];
  const probe = new QuicProbe({
    quic: quic.dial,
    wanted: () => state.wanted,
    reached: (connection) => reached.push(connection),
    clock,
    random: () => random,
  });
  const minutes = () => quic.dialledMs.map((atMs) => Math.round(atMs / 60_000));
  return { clock, quic, state, reached, probe, minutes };
}

test('the first look is after a minute, or jittered down to half of one', async () => {
  for (const [random, expectedMs] of [
    [LONGEST, QUIC_PROBE_INTERVAL_MS],
    [0, QUIC_PROBE_INTERVAL_MS / 2],
  ] as const) {
    const { clock, quic } = newProbe({ random });
    await pass(clock, expectedMs - 1);
    assert.equal(quic.requests.length, 0);
    await pass(clock, 2);
    assert.equal(quic.requests.length, 1);
  }
  assert.equal(QUIC_PROBE_INTERVAL_MS, 60_000);
});

test('looks that find nothing become rarer, up to a bound', async () => {
  const { clock, quic, minutes } = newProbe({ answer: { code: 'DST_E_REFUSED' } });
  await pass(clock, 2 * HOUR_MS);
  assert.deepEqual(minutes().slice(0, 4), [1, 3, 7, 15]);
  const [last, before] = quic.dialledMs.slice(-2).reverse();
  assert.equal(Math.round((last ?? 0) - (before ?? 0)), QUIC_PROBE_INTERVAL_MAX_MS);
});

test('one look at a time: the next waits until the last has ended', async () => {
  const { clock, quic } = newProbe({ answer: 'none' });
  await pass(clock, HOUR_MS);
  const [first, second] = quic.dialledMs;
  const timeoutMs = quic.requests[0]?.timeoutMs ?? 0;
  assert.ok(Math.abs((second ?? 0) - (first ?? 0) - timeoutMs - 2 * QUIC_PROBE_INTERVAL_MS) < 1);
});

test('a look that succeeds hands its connection over', async () => {
  const { clock, quic, reached } = newProbe({ answer: 20 });
  await pass(clock, QUIC_PROBE_INTERVAL_MS + 100);
  assert.deepEqual(reached, quic.connections);
  assert.equal(quic.connections[0]?.closed, false);
});

test('nothing is looked for while QUIC is in use, and what comes too late is closed', async () => {
  const { clock, quic, state, reached } = newProbe({ answer: 100 });
  await pass(clock, QUIC_PROBE_INTERVAL_MS + 50);
  state.wanted = false;
  await pass(clock, HOUR_MS);
  assert.equal(quic.requests.length, 1);
  assert.equal(quic.connections[0]?.closed, true);
  assert.deepEqual(reached, []);
});

test('a session that falls back again and again is moved more and more rarely', async () => {
  const { clock, minutes } = newProbe({ answer: 20 });
  await pass(clock, 16 * 60_000);
  assert.deepEqual(minutes(), [1, 3, 7, 15]);
});

test('an interval spent on QUIC makes up for the looks before', async () => {
  const { clock, quic, state } = newProbe({ answer: { code: 'DST_E_REFUSED' } });
  await pass(clock, 8 * 60_000);
  state.wanted = false;
  await pass(clock, 8 * 60_000);
  state.wanted = true;
  const before = quic.requests.length;
  await pass(clock, 1.5 * QUIC_PROBE_INTERVAL_MS);
  assert.equal(quic.requests.length, before + 1);
});

test('on another network looks are as frequent as at the start', async () => {
  const { clock, quic, probe } = newProbe({ answer: { code: 'DST_E_REFUSED' } });
  await pass(clock, 8 * 60_000);
  const before = quic.requests.length;
  probe.startAfresh();
  await pass(clock, QUIC_PROBE_INTERVAL_MS + 1);
  assert.equal(quic.requests.length, before + 1);
});

test('each look begins with another address', async () => {
  const { clock, quic } = newProbe({ answer: { code: 'DST_E_REFUSED' } });
  await pass(clock, 4 * 60_000);
  assert.deepEqual(
    quic.requests.map(({ attempt }) => attempt),
    [0, 1],
  );
});

test('stop() ends it, and the look that is under way', async () => {
  const { clock, quic, probe, reached } = newProbe({ answer: 'none' });
  await pass(clock, QUIC_PROBE_INTERVAL_MS + 1);
  probe.stop();
  assert.equal(quic.requests[0]?.signal.aborted, true);
  await pass(clock, HOUR_MS);
  assert.equal(quic.requests.length, 1);
  assert.deepEqual(reached, []);
});
