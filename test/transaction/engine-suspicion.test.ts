import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SUSPECT_AFTER_MIN_MS } from '../../src/limits.js';
import {
  answer,
  command,
  connectedEngine,
  type Engine,
  flushOf,
  PLENTY,
  RESEND_TIMEOUT_MS,
  transmits,
} from './engine-support.js';

/** Has the engine learn that a read usually takes so long; returns the time after it. */
function learn(engine: Engine, tookMs: number): number {
  engine.submit(command(0), 0);
  answer(engine, transmits(engine, 0)[0], tookMs);
  return tookMs;
}

/** How long a read that is sent now goes unanswered before it is suspicious. */
function patienceMs(engine: Engine, nowMs: number): number {
  engine.submit(command(1), nowMs);
  transmits(engine, nowMs);
  const dueMs = engine.nextTimeoutMs(nowMs) ?? 0;
  assert.equal(engine.overdue(dueMs - 1), false);
  assert.equal(engine.overdue(dueMs), true);
  return dueMs - nowMs;
}

test('an answer is late after a second at the least', () => {
  assert.equal(patienceMs(connectedEngine(), 0), SUSPECT_AFTER_MIN_MS);
  const engine = connectedEngine();
  assert.equal(patienceMs(engine, learn(engine, 5)), SUSPECT_AFTER_MIN_MS);
});

test('an answer is late after ten times what is usual', () => {
  const engine = connectedEngine();
  assert.equal(patienceMs(engine, learn(engine, 300)), 3_000);
});

test('an answer is late after the resend timeout at the most', () => {
  const engine = connectedEngine();
  assert.equal(patienceMs(engine, learn(engine, 4_000)), RESEND_TIMEOUT_MS);
});

test('what is usual for one kind of command says nothing of another', () => {
  const engine = connectedEngine();
  engine.submit(flushOf(0), 0);
  answer(engine, transmits(engine, 0)[0], 400);
  assert.equal(patienceMs(engine, 400), SUSPECT_AFTER_MIN_MS);
});

test('one slow answer among many swift ones changes little', () => {
  const engine = connectedEngine();
  let nowMs = 0;
  for (const tookMs of [5, 5, 5, 5, 400, 5, 5, 5, 5]) {
    engine.submit(command(0), nowMs);
    const [sent] = transmits(engine, nowMs);
    nowMs += tookMs;
    answer(engine, sent, nowMs);
  }
  assert.equal(patienceMs(engine, nowMs), SUSPECT_AFTER_MIN_MS);
});

test('a resend on the same connection does not clear the suspicion', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  transmits(engine, 0);
  engine.handleTimeout(RESEND_TIMEOUT_MS);
  assert.equal(transmits(engine, RESEND_TIMEOUT_MS).length, 1);
  assert.equal(engine.overdue(RESEND_TIMEOUT_MS), true);
});

test('a new connection clears it', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  transmits(engine, 0);
  assert.equal(engine.overdue(2_000), true);
  engine.handleConnected(PLENTY, false, 2_000);
  transmits(engine, 2_000);
  assert.equal(engine.overdue(2_000), false);
});

test('each connection that ends with a late answer doubles the patience with the next', () => {
  const engine = connectedEngine();
  let nowMs = 0;
  const patienceOfEachMs: number[] = [];
  engine.submit(command(0), nowMs);
  for (let connection = 0; connection < 4; connection++) {
    transmits(engine, nowMs);
    const dueMs = engine.nextTimeoutMs(nowMs) ?? 0;
    patienceOfEachMs.push(dueMs - nowMs);
    nowMs = dueMs;
    assert.equal(engine.overdue(nowMs), true);
    engine.handleConnected(PLENTY, false, nowMs);
  }
  assert.deepEqual(patienceOfEachMs, [1_000, 2_000, 4_000, RESEND_TIMEOUT_MS]);
});

test('swift answers bring the patience down again', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  transmits(engine, 0);
  engine.handleConnected(PLENTY, false, 1_000);
  let nowMs = 1_000;
  answer(engine, transmits(engine, nowMs)[0], nowMs + 5);
  for (let times = 0; times < 10; times++) {
    nowMs += 5;
    engine.submit(command(0), nowMs);
    answer(engine, transmits(engine, nowMs)[0], nowMs + 5);
  }
  assert.equal(patienceMs(engine, nowMs), SUSPECT_AFTER_MIN_MS);
});

test('a connection that ends before anything is late leaves the patience as it was', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  transmits(engine, 0);
  engine.handleConnected(PLENTY, false, SUSPECT_AFTER_MIN_MS - 1);
  transmits(engine, SUSPECT_AFTER_MIN_MS);
  assert.equal(engine.nextTimeoutMs(SUSPECT_AFTER_MIN_MS), 2 * SUSPECT_AFTER_MIN_MS);
});

test('while there is no connection nothing is late', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  transmits(engine, 0);
  engine.handleDisconnected(10);
  assert.equal(engine.overdue(100_000), false);
});

test('what the export works on is not late, and not sent again', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  const id = transmits(engine, 0)[0]?.transaction ?? 0;
  engine.handleWorking([id], 900);
  assert.equal(engine.overdue(1_800), false);
  engine.handleTimeout(RESEND_TIMEOUT_MS + 800);
  assert.deepEqual(transmits(engine, RESEND_TIMEOUT_MS + 800), []);
  assert.equal(engine.overdue(900 + SUSPECT_AFTER_MIN_MS), true);
});

test('a notice for what has ended, or was never sent, changes nothing', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  const [sent] = transmits(engine, 0);
  answer(engine, sent, 10);
  engine.handleWorking([sent?.transaction ?? 0, 77], 20);
  assert.equal(engine.nextTimeoutMs(20), undefined);
});

test('the next timeout is the suspicion first, and the resend after that', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  transmits(engine, 0);
  assert.equal(engine.nextTimeoutMs(0), SUSPECT_AFTER_MIN_MS);
  assert.equal(engine.nextTimeoutMs(SUSPECT_AFTER_MIN_MS), RESEND_TIMEOUT_MS);
});
