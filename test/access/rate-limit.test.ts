import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from '../../src/access/rate-limit.js';
import type { Clock } from '../../src/clock.js';
import { REFUSAL_LOG_INTERVAL_MS, VISITORS_REMEMBERED_MAX } from '../../src/limits.js';

const PER_MINUTE = 60;

function newLimit() {
  let nowMs = 1000;
  const clock: Clock = {
    nowMs: () => nowMs,
    endOfTurn: setImmediate,
    after: () => ({ cancel() {} }),
  };
  const pass = (durationMs: number) => {
    nowMs += durationMs;
  };
  return { limit: new RateLimit(PER_MINUTE, clock), pass };
}

/** How many connections come through at once. */
function burst(limit: RateLimit, address: string): number {
  let count = 0;
  while (limit.take(address)) count++;
  return count;
}

test('a minute’s worth may come at once, then as many as time earns', () => {
  const { limit, pass } = newLimit();
  assert.equal(burst(limit, '192.0.2.1'), PER_MINUTE);
  pass(5_000);
  assert.equal(burst(limit, '192.0.2.1'), 5);
  pass(10 * 60_000);
  assert.equal(burst(limit, '192.0.2.1'), PER_MINUTE, 'no more is saved up');
});

test('each IPv4 address has its own', () => {
  const { limit } = newLimit();
  burst(limit, '192.0.2.1');
  assert.equal(burst(limit, '::ffff:192.0.2.1'), 0);
  assert.equal(burst(limit, '192.0.2.2'), PER_MINUTE);
});

test('the addresses of one IPv6 /64 share', () => {
  const { limit } = newLimit();
  burst(limit, '2001:db8::1');
  assert.equal(burst(limit, '2001:db8::ffff:1'), 0);
  assert.equal(burst(limit, '2001:db8:0:1::1'), PER_MINUTE);
});

test('a charge leaves a debt that time pays off, and no second one meanwhile', () => {
  const { limit, pass } = newLimit();
  burst(limit, '192.0.2.1');
  assert.equal(limit.charge('192.0.2.1', 30), true);
  assert.equal(limit.charge('192.0.2.1', 30), false);
  pass(30_000);
  assert.equal(burst(limit, '192.0.2.1'), 0);
  pass(1_000);
  assert.equal(burst(limit, '192.0.2.1'), 1);
});

test('a refund gives back what the charge took, and never more than a minute’s worth', () => {
  const { limit, pass } = newLimit();
  limit.charge('192.0.2.1', 30);
  limit.refund('192.0.2.1', 30);
  assert.equal(burst(limit, '192.0.2.1'), PER_MINUTE);
  limit.charge('192.0.2.1', 30);
  pass(60_000);
  limit.refund('192.0.2.1', 30);
  assert.equal(burst(limit, '192.0.2.1'), PER_MINUTE);
});

test('no charge takes more than a minute’s worth', () => {
  const { limit, pass } = newLimit();
  burst(limit, '192.0.2.1');
  assert.equal(limit.charge('192.0.2.1', 100 * PER_MINUTE), true);
  pass(61_000);
  assert.equal(burst(limit, '192.0.2.1'), 1);
  limit.refund('192.0.2.1', 100 * PER_MINUTE);
  assert.equal(burst(limit, '192.0.2.1'), PER_MINUTE);
});

test('the table is bounded, and the one who has been away longest is forgotten', () => {
  const { limit } = newLimit();
  burst(limit, '198.51.100.1');
  burst(limit, '198.51.100.2');
  const others = VISITORS_REMEMBERED_MAX - 2;
  for (let i = 0; i < others; i++) limit.take(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  assert.equal(limit.take('198.51.100.1'), false, 'heard of again: now the last to be forgotten');
  limit.take('203.0.113.1');
  assert.equal(limit.remembered, VISITORS_REMEMBERED_MAX);
  assert.equal(limit.take('198.51.100.1'), false);
  assert.equal(limit.take('198.51.100.2'), true, 'forgotten');
});

test('of one address the log says so once in a while', () => {
  const { limit, pass } = newLimit();
  assert.equal(limit.mayTell('192.0.2.1'), true);
  assert.equal(limit.mayTell('192.0.2.1'), false);
  assert.equal(limit.mayTell('192.0.2.2'), true);
  pass(REFUSAL_LOG_INTERVAL_MS);
  assert.equal(limit.mayTell('192.0.2.1'), true);
});
