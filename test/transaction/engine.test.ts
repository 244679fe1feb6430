import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DstError } from '../../src/errors.js';
import {
  answer,
  command,
  connectedEngine,
  done,
  type Engine,
  ended,
  names,
  newEngine,
  PLENTY,
  RESEND_TIMEOUT_MS,
  transmits,
} from './engine-support.js';

/** Submits `count` commands named from 0 on. */
function submit(engine: Engine, count: number, creditBytes = 0): void {
  for (let name = 0; name < count; name++) engine.submit(command(name, creditBytes), 0);
}

const isBreach = (error: unknown) => error instanceof DstError && error.code === 'DST_E_PROTOCOL';

test('commands go out in the order in which they came, each on a slot of its own', () => {
  const engine = connectedEngine();
  submit(engine, 5);
  const sent = transmits(engine);
  assert.deepEqual(names(sent), [0, 1, 2, 3, 4]);
  assert.equal(new Set(sent.map(({ slot }) => slot)).size, 5);
  assert.equal(engine.inFlight, 5);
});

test('nothing goes out before there is a connection', () => {
  const engine = newEngine();
  submit(engine, 1);
  assert.deepEqual(transmits(engine), []);
  engine.handleConnected(PLENTY, false, 0);
  assert.deepEqual(names(transmits(engine)), [0]);
});

test('credit bounds how many are in flight; a reply lets the next one go', () => {
  const engine = connectedEngine({ credit: { transactions: 2 } });
  submit(engine, 4);
  const [first] = transmits(engine);
  assert.equal(engine.inFlight, 2);
  answer(engine, first);
  assert.deepEqual(names(transmits(engine)), [2]);
});

test('credit bounds the bytes in flight', () => {
  const engine = connectedEngine({ credit: { bytes: 250 } });
  submit(engine, 4, 100);
  const [first] = transmits(engine);
  assert.equal(engine.inFlightBytes, 200);
  answer(engine, first);
  assert.deepEqual(names(transmits(engine)), [2]);
});

test('one command alone may exceed the credit in bytes, so that it is never stuck', () => {
  const engine = connectedEngine({ credit: { bytes: 10 } });
  submit(engine, 2, 100);
  const sent = transmits(engine);
  assert.deepEqual(names(sent), [0]);
  answer(engine, sent[0]);
  assert.deepEqual(names(transmits(engine)), [1]);
});

test('no transaction goes out a whole window above the oldest unfinished one', () => {
  const engine = connectedEngine({ credit: { window: 4 } });
  submit(engine, 10);
  const sent = transmits(engine);
  assert.equal(sent.length, 4);
  for (const each of sent.slice(1)) answer(engine, each);
  assert.deepEqual(transmits(engine), [], 'the first still holds the window');
  answer(engine, sent[0]);
  assert.equal(transmits(engine).length, 4);
});

test('the slot freed last is used first, and none is used twice at once', () => {
  const engine = connectedEngine({ credit: { transactions: 3 } });
  submit(engine, 6);
  const [a, b] = transmits(engine);
  answer(engine, a);
  answer(engine, b);
  assert.deepEqual(
    transmits(engine).map(({ slot }) => slot),
    [b?.slot, a?.slot],
  );
});

test('ids begin above those that the session has used, and all of those are retired', () => {
  const engine = connectedEngine({ firstTransaction: 5_000_000, credit: { window: 2 } });
  engine.submit(command(0), 0);
  const [sent] = transmits(engine);
  assert.equal(sent?.transaction, 5_000_000);
  assert.equal(sent?.retired, 5_000_000);
});

test('the retired mark is the oldest unfinished id, whatever order they end in', () => {
  const engine = connectedEngine();
  submit(engine, 3);
  const [first, second, third] = transmits(engine);
  answer(engine, second);
  assert.equal(engine.retired, first?.transaction);
  answer(engine, first);
  assert.equal(engine.retired, third?.transaction);
  answer(engine, third);
  const next = 1 + (third?.transaction ?? 0);
  assert.equal(engine.retired, next);
  engine.submit(command(9), 0);
  assert.equal(transmits(engine)[0]?.retired, next);
});

test('an id is given when a command is first sent, so that what waits holds no window', () => {
  const engine = connectedEngine({ credit: { transactions: 1 } });
  submit(engine, 3);
  const ids: number[] = [];
  for (let round = 0; round < 3; round++) {
    const [sent] = transmits(engine);
    ids.push(sent?.transaction ?? 0);
    assert.equal(sent?.retired, sent?.transaction);
    answer(engine, sent);
  }
  assert.deepEqual(ids, [1, 2, 3]);
});

test('a new connection carries everything unanswered, oldest first, before what is new', () => {
  const engine = connectedEngine({ credit: { transactions: 3 } });
  submit(engine, 5);
  const sent = transmits(engine);
  answer(engine, sent[1]);
  engine.handleDisconnected(0);
  assert.equal(engine.inFlight, 0);
  assert.equal(engine.inFlightBytes, 0);
  engine.handleConnected(PLENTY, false, 0);
  const again = transmits(engine);
  assert.deepEqual(names(again), [0, 2, 3, 4]);
  assert.equal(again[0]?.transaction, sent[0]?.transaction, 'a resend keeps its id');
  assert.equal(engine.counters.resent, 2, 'those that were never sent are no resends');
});

test('an answer that nothing on its slot asked for is a breach', () => {
  const engine = connectedEngine();
  submit(engine, 2);
  const [first, second] = transmits(engine);
  assert.ok(first && second);
  const { slot } = first;
  assert.throws(() => engine.handleReply(slot, done(second.transaction), 0), isBreach);
  assert.throws(() => engine.handleReply(7, done(first.transaction), 0), isBreach);
  answer(engine, first);
  assert.throws(() => answer(engine, first), isBreach, 'answered twice');
  assert.throws(() => engine.handleCorrupt(slot, first.transaction), isBreach);
  assert.deepEqual(ended(engine), [0]);
});

test('an answer for a connection that is gone ends nothing', () => {
  const engine = connectedEngine();
  submit(engine, 1);
  const [sent] = transmits(engine);
  engine.handleDisconnected(0);
  assert.throws(() => answer(engine, sent), isBreach);
  assert.equal(engine.unfinished, 1);
});

test('with nothing unfinished there is no timeout', () => {
  assert.equal(connectedEngine().nextTimeoutMs(0), undefined);
});

test('one that waits for credit on a live connection is neither suspect nor counted', () => {
  const engine = connectedEngine({ maxResends: 0, credit: { transactions: 1 } });
  submit(engine, 2);
  const [first] = transmits(engine);
  answer(engine, first);
  ended(engine);
  engine.handleTimeout(10 * RESEND_TIMEOUT_MS);
  assert.equal(engine.overdue(10 * RESEND_TIMEOUT_MS), false);
  assert.deepEqual(ended(engine), []);
  assert.deepEqual(names(transmits(engine)), [1]);
});

test('while disconnected each timeout counts as a resend, and past the bound it is EIO', () => {
  const engine = connectedEngine({ maxResends: 2 });
  submit(engine, 1);
  transmits(engine);
  engine.handleDisconnected(0);
  assert.equal(engine.nextTimeoutMs(0), RESEND_TIMEOUT_MS);
  engine.handleTimeout(RESEND_TIMEOUT_MS);
  engine.handleTimeout(2 * RESEND_TIMEOUT_MS);
  assert.equal(engine.unfinished, 1);
  engine.handleTimeout(3 * RESEND_TIMEOUT_MS);
  const [completion] = engine.takeCompletions();
  assert.ok(completion?.error instanceof DstError);
  assert.equal(completion.error.code, 'DST_E_RESENDS');
  assert.equal(completion.error.errno, 'EIO');
  assert.equal(engine.unfinished, 0);
});

test('only the command that ran out of resends fails', () => {
  const engine = connectedEngine({ maxResends: 1 });
  engine.submit(command(0), 0);
  transmits(engine);
  engine.handleConnected(PLENTY, false, 0);
  transmits(engine);
  engine.submit(command(1), 0);
  engine.handleConnected(PLENTY, false, 0);
  assert.deepEqual(names(transmits(engine)), [1]);
  assert.deepEqual(ended(engine), [0]);
});

test('with no bound on resends a command outlives any outage', () => {
  const engine = connectedEngine({ maxResends: Number.POSITIVE_INFINITY });
  submit(engine, 1);
  transmits(engine);
  engine.handleDisconnected(0);
  for (let i = 1; i <= 10_000; i++) engine.handleTimeout(i * RESEND_TIMEOUT_MS);
  engine.handleConnected(PLENTY, false, 0);
  assert.deepEqual(names(transmits(engine)), [0]);
  assert.deepEqual(ended(engine), []);
});

test('failAll ends what is queued and what is in flight, once each, with that error', () => {
  const engine = connectedEngine({ credit: { transactions: 1 } });
  submit(engine, 3);
  const [first] = transmits(engine);
  const reason = new Error('closed');
  engine.failAll(reason);
  const completions = engine.takeCompletions();
  assert.deepEqual(names(completions), [0, 1, 2]);
  assert.ok(completions.every(({ error }) => error === reason));
  answer(engine, first);
  assert.deepEqual(ended(engine), []);
  assert.deepEqual(transmits(engine), []);
});

test('a hundred thousand queued commands each go out and end once', () => {
  const COUNT = 100_000;
  const engine = connectedEngine({ credit: { transactions: 300 } });
  submit(engine, COUNT);
  const seen = new Uint8Array(COUNT);
  while (engine.unfinished > 0) {
    for (const each of transmits(engine)) answer(engine, each);
    for (const name of ended(engine)) seen[name] = 1 + (seen[name] ?? 0);
  }
  assert.ok(seen.every((times) => times === 1));
  assert.equal(engine.counters.completed, COUNT);
});

test('a hundred thousand completions wait for their caller without a cost that grows', () => {
  const COUNT = 100_000;
  const engine = connectedEngine();
  submit(engine, COUNT);
  engine.failAll(new Error('closed'));
  assert.equal(ended(engine).length, COUNT);
});
