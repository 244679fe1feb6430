import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DstError } from '../../src/errors.js';
import type { Credit } from '../../src/protocol/messages.js';
import { TransactionEngine } from '../../src/transaction/engine.js';
import {
  command,
  completions,
  done,
  type NamedCommand,
  PLENTY,
  transmits,
} from './engine-support.js';

const RESEND_TIMEOUT_MS = 100;

function engineWith(options: { maxResends?: number; credit?: Partial<Credit> } = {}) {
  const engine = new TransactionEngine<NamedCommand>({
    resendTimeoutMs: RESEND_TIMEOUT_MS,
    maxResends: options.maxResends ?? 3,
  });
  engine.handleConnected({ ...PLENTY, ...options.credit }, 0);
  return engine;
}

/** Submits `count` commands named from 0 on. */
function submit(engine: TransactionEngine<NamedCommand>, count: number, creditBytes = 0): void {
  for (let name = 0; name < count; name++) engine.submit(command(name, creditBytes), 0);
}

const names = (list: readonly { command: NamedCommand }[]) => list.map((each) => each.command.name);

test('commands go out in the order in which they came, each on a slot of its own', () => {
  const engine = engineWith();
  submit(engine, 5);
  const sent = transmits(engine);
  assert.deepEqual(names(sent), [0, 1, 2, 3, 4]);
  assert.equal(new Set(sent.map(({ slot }) => slot)).size, 5);
  assert.equal(engine.inFlight, 5);
});

test('nothing goes out before there is a connection', () => {
  const engine = new TransactionEngine<NamedCommand>({ resendTimeoutMs: 1, maxResends: 1 });
  submit(engine, 1);
  assert.deepEqual(transmits(engine), []);
  engine.handleConnected(PLENTY, 0);
  assert.deepEqual(names(transmits(engine)), [0]);
});

test('credit bounds how many are in flight; a reply lets the next one go', () => {
  const engine = engineWith({ credit: { transactions: 2 } });
  submit(engine, 4);
  const [first] = transmits(engine);
  assert.ok(first);
  assert.equal(engine.inFlight, 2);
  engine.handleReply(done(first.transaction));
  assert.deepEqual(names(transmits(engine)), [2]);
});

test('credit bounds the bytes in flight', () => {
  const engine = engineWith({ credit: { bytes: 250 } });
  submit(engine, 4, 100);
  const [first] = transmits(engine);
  assert.ok(first);
  assert.equal(engine.inFlightBytes, 200);
  engine.handleReply(done(first.transaction));
  assert.deepEqual(names(transmits(engine)), [2]);
});

test('one command alone may exceed the credit in bytes, so that it is never stuck', () => {
  const engine = engineWith({ credit: { bytes: 10 } });
  submit(engine, 2, 100);
  const sent = transmits(engine);
  assert.deepEqual(names(sent), [0]);
  engine.handleReply(done(sent[0]?.transaction ?? 0));
  assert.deepEqual(names(transmits(engine)), [1]);
});

test('no transaction goes out a whole window above the oldest unfinished one', () => {
  const engine = engineWith({ credit: { window: 4 } });
  submit(engine, 10);
  const sent = transmits(engine);
  assert.equal(sent.length, 4);
  for (const { transaction } of sent.slice(1)) engine.handleReply(done(transaction));
  assert.deepEqual(transmits(engine), [], 'the first still holds the window');
  engine.handleReply(done(sent[0]?.transaction ?? 0));
  assert.equal(transmits(engine).length, 4);
});

test('the slot freed last is used first, and none is used twice at once', () => {
  const engine = engineWith({ credit: { transactions: 3 } });
  submit(engine, 6);
  const [a, b] = transmits(engine);
  assert.ok(a && b);
  engine.handleReply(done(a.transaction));
  engine.handleReply(done(b.transaction));
  assert.deepEqual(
    transmits(engine).map(({ slot }) => slot),
    [b.slot, a.slot],
  );
});

test('the retired mark is the oldest unfinished id, whatever order they end in', () => {
  const engine = engineWith();
  submit(engine, 3);
  const ids = transmits(engine).map(({ transaction }) => transaction);
  const [first = 0, second = 0, third = 0] = ids;
  engine.handleReply(done(second));
  assert.equal(engine.retired, first);
  engine.handleReply(done(first));
  assert.equal(engine.retired, third);
  engine.handleReply(done(third));
  assert.equal(engine.retired, third + 1);
  engine.submit(command(9), 0);
  assert.equal(transmits(engine)[0]?.retired, third + 1);
});

test('a new connection carries everything unanswered, oldest first, before what is new', () => {
  const engine = engineWith({ credit: { transactions: 3 } });
  submit(engine, 5);
  const sent = transmits(engine);
  engine.handleReply(done(sent[1]?.transaction ?? 0));
  engine.handleDisconnected(0);
  assert.equal(engine.inFlight, 0);
  assert.equal(engine.inFlightBytes, 0);
  engine.handleConnected(PLENTY, 0);
  const again = transmits(engine);
  assert.deepEqual(names(again), [0, 2, 3, 4]);
  assert.equal(again[0]?.transaction, sent[0]?.transaction, 'a resend keeps its id');
  assert.equal(engine.counters.resent, 2, 'those that were never sent are no resends');
});

test('a reply that comes late, doubled, or for an unknown transaction is ignored', () => {
  const engine = engineWith();
  submit(engine, 1);
  const id = transmits(engine)[0]?.transaction ?? 0;
  assert.equal(engine.handleReply(done(id + 7)), false);
  assert.equal(engine.handleReply(done(id)), true);
  assert.equal(engine.handleReply(done(id)), false);
  assert.equal(completions(engine).length, 1);
  assert.equal(engine.inFlight, 0);
});

test('a reply to a transaction that waits for its resend is ignored', () => {
  const engine = engineWith();
  submit(engine, 1);
  const id = transmits(engine)[0]?.transaction ?? 0;
  engine.handleDisconnected(0);
  assert.equal(engine.handleReply(done(id)), false);
  assert.equal(engine.unfinished, 1);
});

test('a transaction that came damaged is sent again, ahead of those not yet sent', () => {
  const engine = engineWith({ credit: { transactions: 1 } });
  submit(engine, 3);
  const id = transmits(engine)[0]?.transaction ?? 0;
  engine.handleCorrupt(id);
  const [again] = transmits(engine);
  assert.equal(again?.transaction, id);
  assert.equal(engine.counters.corrupt, 1);
  assert.equal(engine.counters.resent, 1);
});

test('a transaction that is damaged again and again never locks the window', () => {
  const engine = engineWith({
    maxResends: Number.POSITIVE_INFINITY,
    credit: { window: 8, transactions: 4 },
  });
  submit(engine, 100);
  let ended = 0;
  for (let round = 0; round < 1000 && engine.unfinished > 0; round++) {
    for (const { transaction } of transmits(engine)) {
      if (transaction === 1 && round < 50) engine.handleCorrupt(transaction);
      else engine.handleReply(done(transaction));
    }
    ended += completions(engine).length;
  }
  assert.equal(ended, 100);
});

test('a damage report for a transaction that is not in flight is ignored', () => {
  const engine = engineWith();
  submit(engine, 1);
  const id = transmits(engine)[0]?.transaction ?? 0;
  engine.handleReply(done(id));
  engine.handleCorrupt(id);
  assert.deepEqual(transmits(engine), []);
});

test('one in flight past its deadline makes the connection suspect; one in time does not', () => {
  const engine = engineWith();
  submit(engine, 1);
  transmits(engine, 0);
  assert.equal(engine.nextTimeoutMs(), RESEND_TIMEOUT_MS);
  assert.equal(engine.handleTimeout(RESEND_TIMEOUT_MS - 1), false);
  assert.equal(engine.handleTimeout(RESEND_TIMEOUT_MS), true);
  assert.equal(engine.counters.timedOut, 1);
  assert.deepEqual(completions(engine), [], 'the caller replaces the connection');
});

test('one that waits for credit on a live connection is neither suspect nor counted', () => {
  const engine = engineWith({ maxResends: 0, credit: { transactions: 1 } });
  submit(engine, 2);
  const [first] = transmits(engine, 0);
  engine.handleReply(done(first?.transaction ?? 0));
  completions(engine);
  assert.equal(engine.handleTimeout(10 * RESEND_TIMEOUT_MS), false);
  assert.deepEqual(completions(engine), []);
  assert.deepEqual(names(transmits(engine, 0)), [1]);
});

test('with nothing unfinished there is no timeout', () => {
  assert.equal(engineWith().nextTimeoutMs(), undefined);
});

test('while disconnected each timeout counts as a resend, and past the bound it is EIO', () => {
  const engine = engineWith({ maxResends: 2 });
  submit(engine, 1);
  transmits(engine, 0);
  engine.handleDisconnected(0);
  assert.equal(engine.handleTimeout(RESEND_TIMEOUT_MS), false);
  engine.handleTimeout(2 * RESEND_TIMEOUT_MS);
  assert.deepEqual(completions(engine), []);
  engine.handleTimeout(3 * RESEND_TIMEOUT_MS);
  const [ended] = completions(engine);
  assert.ok(ended?.error instanceof DstError);
  assert.equal(ended.error.code, 'DST_E_RESENDS');
  assert.equal(ended.error.errno, 'EIO');
  assert.equal(engine.unfinished, 0);
});

test('only the command that ran out of resends fails', () => {
  const engine = engineWith({ maxResends: 1 });
  engine.submit(command(0), 0);
  transmits(engine, 0);
  engine.handleDisconnected(0);
  engine.handleConnected(PLENTY, 0);
  transmits(engine, 0);
  engine.submit(command(1), 0);
  engine.handleDisconnected(0);
  engine.handleConnected(PLENTY, 0);
  assert.deepEqual(names(transmits(engine, 0)), [1]);
  assert.deepEqual(names(completions(engine)), [0]);
});

test('with no bound on resends a command outlives any outage', () => {
  const engine = engineWith({ maxResends: Number.POSITIVE_INFINITY });
  submit(engine, 1);
  transmits(engine, 0);
  engine.handleDisconnected(0);
  for (let i = 1; i <= 10_000; i++) engine.handleTimeout(i * RESEND_TIMEOUT_MS);
  engine.handleConnected(PLENTY, 0);
  assert.deepEqual(names(transmits(engine)), [0]);
  assert.deepEqual(completions(engine), []);
});

test('failAll ends what is queued and what is in flight, once each, with that error', () => {
  const engine = engineWith({ credit: { transactions: 1 } });
  submit(engine, 3);
  const [first] = transmits(engine);
  const reason = new Error('closed');
  engine.failAll(reason);
  const ended = completions(engine);
  assert.deepEqual(names(ended), [0, 1, 2]);
  assert.ok(ended.every(({ error }) => error === reason));
  assert.equal(engine.handleReply(done(first?.transaction ?? 0)), false);
  assert.deepEqual(completions(engine), []);
  assert.deepEqual(transmits(engine), []);
});

test('a hundred thousand queued commands each go out and end once', () => {
  const COUNT = 100_000;
  const engine = engineWith({ credit: { transactions: 300 } });
  submit(engine, COUNT);
  const seen = new Uint8Array(COUNT);
  while (engine.unfinished > 0) {
    for (const { transaction } of transmits(engine)) engine.handleReply(done(transaction));
    for (const { command } of completions(engine))
      seen[command.name] = 1 + (seen[command.name] ?? 0);
  }
  assert.ok(seen.every((times) => times === 1));
  assert.equal(engine.counters.completed, COUNT);
});

test('a hundred thousand completions wait for their caller without a cost that grows', () => {
  const COUNT = 100_000;
  const engine = engineWith();
  submit(engine, COUNT);
  engine.failAll(new Error('closed'));
  assert.equal(completions(engine).length, COUNT);
});
