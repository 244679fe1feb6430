import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DstError } from '../../src/errors.js';
import { REPLAY_ENTRY_BYTES } from '../../src/limits.js';
import { KIND } from '../../src/protocol/kinds.js';
import {
  answer,
  command,
  connectedEngine,
  ended,
  failed,
  flushOf,
  kinds,
  names,
  OWN,
  PLENTY,
  RESEND_TIMEOUT_MS,
  run,
  settle,
  transmits,
  trimOf,
  writeOf,
} from './engine-support.js';

const PAYLOAD = 'x'.repeat(1000);
const COST_BYTES = PAYLOAD.length + REPLAY_ENTRY_BYTES;

test('changes wait for the bound, and the engine flushes by itself', () => {
  const engine = connectedEngine({ replayBufferBytes: 2 * COST_BYTES });
  for (let name = 0; name < 4; name++) engine.submit(writeOf(name, name * 1000, PAYLOAD), 0);
  const sent = transmits(engine);
  assert.deepEqual(names(sent), [0, 1], 'what is on its way counts too');
  answer(engine, sent[0]);
  const [flush] = transmits(engine);
  assert.equal(flush?.command.name, OWN);
  assert.equal(flush.command.kind, KIND.flush);
  answer(engine, flush);
  assert.deepEqual(names(transmits(engine)), [2]);
  assert.deepEqual(
    ended(engine).filter((name) => name !== OWN),
    [0],
  );
});

test('from half the bound on the engine flushes before anything has to wait', () => {
  const engine = connectedEngine({ replayBufferBytes: 4 * COST_BYTES });
  run(engine, writeOf(0, 0, PAYLOAD));
  assert.equal(engine.unflushedBytes, COST_BYTES);
  engine.submit(writeOf(1, 1000, PAYLOAD), 0);
  answer(engine, transmits(engine)[0]);
  assert.deepEqual(kinds(transmits(engine)), [KIND.flush]);
});

test('one flush of its own at a time; what is acked during it waits for the next', () => {
  const engine = connectedEngine({ replayBufferBytes: 2 * COST_BYTES });
  run(engine);
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  answer(engine, transmits(engine)[0]);
  const [flush] = transmits(engine);
  engine.submit(writeOf(1, 1000, PAYLOAD), 0);
  const [write] = transmits(engine);
  answer(engine, write);
  assert.deepEqual(transmits(engine), []);
  answer(engine, flush);
  assert.equal(engine.unflushedBytes, COST_BYTES);
  assert.deepEqual(kinds(transmits(engine)), [KIND.flush]);
});

test('reads pass a full log, but not a change that waits before them', () => {
  const engine = connectedEngine({ replayBufferBytes: COST_BYTES });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  engine.submit(command(1), 0);
  engine.submit(writeOf(2, 0, PAYLOAD), 0);
  engine.submit(command(3), 0);
  assert.deepEqual(names(transmits(engine)), [0, 1]);
});

test('a change larger than the bound goes alone', () => {
  const engine = connectedEngine({ replayBufferBytes: 10 });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  engine.submit(writeOf(1, 1000, PAYLOAD), 0);
  assert.deepEqual(
    settle(engine).filter((name) => name !== OWN),
    [0, 1],
  );
});

test('a resend that was answered meanwhile does not hide a change that waits for a flush', () => {
  const engine = connectedEngine({
    replayBufferBytes: 4 * COST_BYTES,
    credit: { transactions: 1 },
  });
  run(engine, writeOf(0, 0, PAYLOAD));
  engine.submit(trimOf(1, 5000, 1), 0);
  const [trim] = transmits(engine);
  engine.submit(writeOf(2, 0, 'x'.repeat(3 * COST_BYTES)), 0);
  engine.handleTimeout(RESEND_TIMEOUT_MS);
  answer(engine, trim, RESEND_TIMEOUT_MS);
  assert.deepEqual(kinds(transmits(engine)), [KIND.flush]);
});

test('a flush of its own never keeps a resend from the window that it waits for itself', () => {
  const engine = connectedEngine({
    replayBufferBytes: 2 * COST_BYTES,
    maxResends: Number.POSITIVE_INFINITY,
    credit: { window: 2 },
  });
  engine.submit(command(0), 0);
  engine.submit(writeOf(1, 0, PAYLOAD), 0);
  const [read, write] = transmits(engine);
  assert.ok(read);
  answer(engine, write);
  engine.handleCorrupt(read.slot, read.transaction);
  assert.deepEqual(names(transmits(engine)), [0]);
});

test('a failed flush of its own is reported by the next flush of a caller, once', () => {
  const engine = connectedEngine({ replayBufferBytes: 2 * COST_BYTES });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  answer(engine, transmits(engine)[0]);
  answer(engine, transmits(engine)[0], 0, failed);
  assert.equal(engine.unflushedBytes, 0, 'what cannot be made durable is not kept for ever');
  engine.takeCompletions();
  engine.submit(flushOf(1), 0);
  engine.submit(flushOf(2), 0);
  for (const sent of transmits(engine)) answer(engine, sent);
  const [first, second] = engine.takeCompletions();
  assert.ok(first?.error instanceof DstError);
  assert.equal(first.error.code, 'DST_E_FLUSH_LOST');
  assert.equal(first.error.errno, 'EIO');
  assert.equal(first.reply, undefined);
  assert.equal(second?.error, undefined);
});

test('a failed flush of a caller keeps what it was to cover, and what is owed', () => {
  const engine = connectedEngine({ replayBufferBytes: 2 * COST_BYTES });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  answer(engine, transmits(engine)[0]);
  answer(engine, transmits(engine)[0], 0, failed);
  engine.submit(writeOf(1, 0, 'a'), 0);
  engine.submit(flushOf(2), 0);
  const [write, flush] = transmits(engine);
  answer(engine, write);
  answer(engine, flush, 0, failed);
  assert.ok(engine.unflushedBytes > 0);
  engine.takeCompletions();
  engine.submit(flushOf(3), 0);
  answer(engine, transmits(engine)[0]);
  assert.ok(engine.takeCompletions()[0]?.error instanceof DstError);
});

test('a flush of its own is forgotten with its connection, and made anew on the next', () => {
  const engine = connectedEngine({ replayBufferBytes: 2 * COST_BYTES });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  answer(engine, transmits(engine)[0]);
  assert.deepEqual(kinds(transmits(engine)), [KIND.flush]);
  engine.handleConnected(PLENTY, false, 0);
  assert.equal(engine.inFlight, 0);
  assert.deepEqual(kinds(transmits(engine)), [KIND.flush]);
});
