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
  assert.ok(engine.unflushedBytes > 0, 'it may be the only copy that is left');
  engine.takeCompletions();
  engine.submit(flushOf(1), 0);
  engine.submit(flushOf(2), 0);
  assert.deepEqual(transmits(engine), []);
  assert.equal(engine.mustReconnect, true, 'a flush proves nothing before a replay');
  engine.handleConnected(PLENTY, false, 0);
  const [replay, ...more] = transmits(engine);
  assert.deepEqual(more, []);
  answer(engine, replay);
  for (const sent of transmits(engine)) answer(engine, sent);
  assert.equal(engine.unflushedBytes, 0);
  const ended = engine.takeCompletions();
  const [first, second] = [1, 2].map((name) => ended.find((each) => each.command.name === name));
  assert.ok(first?.error instanceof DstError);
  assert.equal(first.error.code, 'DST_E_FLUSH_LOST');
  assert.equal(first.error.errno, 'EIO');
  assert.equal(first.reply, undefined);
  assert.equal(second?.error, undefined);
});

test('after a failed flush, changes that cannot be kept any more fail', () => {
  const engine = connectedEngine({ replayBufferBytes: COST_BYTES });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  answer(engine, transmits(engine)[0]);
  answer(engine, transmits(engine)[0], 0, failed);
  engine.takeCompletions();
  engine.submit(writeOf(1, 0, PAYLOAD), 0);
  assert.deepEqual(transmits(engine), []);
  const [ended] = engine.takeCompletions();
  assert.ok(ended?.error instanceof DstError);
  assert.equal(ended.error.code, 'DST_E_FLUSH_LOST');
});

test('what the export says it could not flush is made again on the next connection', () => {
  const engine = connectedEngine({ replayBufferBytes: 4 * COST_BYTES });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  answer(engine, transmits(engine)[0]);
  engine.handleFlushLost();
  engine.handleConnected(PLENTY, false, 0);
  assert.equal(engine.replaying, true);
});

test('a failed flush of a caller keeps what it was to cover, until one after a replay', () => {
  const engine = connectedEngine({ replayBufferBytes: 8 * COST_BYTES });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  engine.submit(flushOf(1), 0);
  const [write, flush] = transmits(engine);
  answer(engine, write);
  answer(engine, flush, 0, failed);
  assert.ok(engine.unflushedBytes > 0);
  engine.submit(flushOf(2), 0);
  transmits(engine);
  engine.handleConnected(PLENTY, false, 0);
  answer(engine, transmits(engine)[0]);
  answer(engine, transmits(engine)[0]);
  assert.equal(engine.unflushedBytes, 0);
  assert.equal(engine.mustReconnect, false);
});

test('a flush that was under way when another failed proves nothing', () => {
  const engine = connectedEngine({ replayBufferBytes: 8 * COST_BYTES });
  engine.submit(writeOf(0, 0, PAYLOAD), 0);
  answer(engine, transmits(engine)[0]);
  engine.submit(flushOf(1), 0);
  engine.submit(flushOf(2), 0);
  const [one, other] = transmits(engine);
  answer(engine, one, 0, failed);
  engine.takeCompletions();
  answer(engine, other);
  assert.ok(engine.takeCompletions()[0]?.error instanceof DstError);
  assert.ok(engine.unflushedBytes > 0);
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
