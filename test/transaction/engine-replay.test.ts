import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DstError } from '../../src/errors.js';
import { KIND } from '../../src/protocol/kinds.js';
import {
  answer,
  command,
  connectedEngine,
  type Engine,
  failed,
  flushOf,
  kinds,
  names,
  OWN,
  PLENTY,
  RESEND_TIMEOUT_MS,
  run,
  settle,
  textOf,
  transmits,
  trimOf,
  writeOf,
} from './engine-support.js';

const BOUND_BYTES = 1 << 20;
const keeping = { replayBufferBytes: BOUND_BYTES };

/** The export is back without its volatile cache. */
function cacheLost(engine: Engine, credit = PLENTY): void {
  engine.handleConnected(credit, true, 0);
}

test('what was acked and not flushed is made again, in order, before anything else', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'old!'), writeOf(1, 2, 'new!'), trimOf(2, 100, 50));
  engine.submit(command(3), 0);
  transmits(engine);
  cacheLost(engine);
  assert.equal(engine.replaying, true);
  const [first, trim] = transmits(engine);
  assert.equal(first?.command.name, OWN);
  assert.equal(first && textOf(first.command), 'old!');
  assert.equal(first?.command.offset, 0);
  assert.equal(trim, undefined, 'the second overlaps the first, and the third is behind it');
  answer(engine, first);
  const rest = transmits(engine);
  assert.deepEqual(kinds(rest), [KIND.write, KIND.trim]);
  assert.equal(rest[0] && textOf(rest[0].command), 'new!');
  answer(engine, rest[1]);
  assert.deepEqual(transmits(engine), [], 'the replay is not over');
  answer(engine, rest[0]);
  assert.equal(engine.replaying, false);
  assert.deepEqual(names(transmits(engine)), [3]);
  assert.equal(engine.counters.replayed, 3);
});

test('what is known of acked changes: flushed, held, or in doubt', () => {
  const engine = connectedEngine(keeping);
  assert.equal(engine.durability, 'flushed');
  run(engine, writeOf(0, 0, 'data'));
  assert.equal(engine.durability, 'held');
  cacheLost(engine);
  assert.equal(engine.durability, 'doubtful', 'a replay is due');
  settle(engine);
  assert.equal(engine.durability, 'held');
  run(engine, flushOf(1));
  assert.equal(engine.durability, 'flushed');
});

test('a loss that nobody has been told of leaves a doubt', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'data'));
  cacheLost(engine);
  for (const replay of transmits(engine)) answer(engine, replay, 0, failed);
  assert.equal(engine.durability, 'doubtful');
  run(engine, flushOf(1));
  assert.equal(engine.durability, 'flushed', 'the flush has told it');
});

test('what comes during a replay waits for its end', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'data'));
  cacheLost(engine);
  const [replay] = transmits(engine);
  engine.submit(command(1), 0);
  assert.deepEqual(transmits(engine), []);
  answer(engine, replay);
  assert.deepEqual(names(transmits(engine)), [1]);
});

test('a flush drops what was acked before it was sent, and nothing else', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'a'));
  engine.submit(writeOf(1, 8, 'b'), 0);
  engine.submit(flushOf(2), 0);
  const [write, flush] = transmits(engine);
  answer(engine, write);
  answer(engine, flush);
  cacheLost(engine);
  assert.deepEqual(
    transmits(engine).map(({ command }) => textOf(command)),
    ['b'],
  );
});

test('a flush that is sent again covers only what it covered at first', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'a'));
  engine.submit(flushOf(1), 0);
  transmits(engine);
  engine.submit(writeOf(2, 8, 'b'), 0);
  answer(engine, transmits(engine)[0]);
  engine.handleTimeout(RESEND_TIMEOUT_MS);
  const [again] = transmits(engine, RESEND_TIMEOUT_MS);
  // It joined its first copy at the export, which began before the second write was made.
  answer(engine, again, RESEND_TIMEOUT_MS);
  cacheLost(engine);
  assert.deepEqual(
    transmits(engine).map(({ command }) => textOf(command)),
    ['b'],
  );
});

test('with all flushed, a lost cache replays nothing; what is unanswered gets new ids', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'a'), flushOf(1));
  assert.equal(engine.unflushedBytes, 0);
  engine.submit(writeOf(2, 0, 'b'), 0);
  const [before] = transmits(engine);
  cacheLost(engine);
  assert.equal(engine.replaying, false);
  const [again] = transmits(engine);
  assert.equal(again?.command.name, 2);
  // Its old id may be in the export's table: answered, though its effect is lost.
  assert.ok((again?.transaction ?? 0) > (before?.transaction ?? 0));
  assert.ok((again?.retired ?? 0) > (before?.transaction ?? 0));
});

test('ids after a replay are above those of the replay, which are above all before', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'a'));
  engine.submit(command(1), 0);
  const [before] = transmits(engine);
  cacheLost(engine);
  const [replay] = transmits(engine);
  assert.ok(before && replay);
  assert.ok(replay.transaction > before.transaction);
  assert.equal(replay.retired, replay.transaction);
  answer(engine, replay);
  const [after] = transmits(engine);
  assert.equal(after?.command.name, 1);
  assert.equal(after.transaction, replay.transaction + 1);
  assert.equal(after.retired, after.transaction);
});

test('a connection lost in the middle of a replay: the next one begins with what is left', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'a'), writeOf(1, 8, 'b'));
  engine.submit(command(2), 0);
  cacheLost(engine);
  answer(engine, transmits(engine)[0]);
  engine.handleDisconnected(0);
  engine.handleConnected(PLENTY, false, 0);
  assert.equal(engine.replaying, true);
  const again = transmits(engine);
  assert.deepEqual(
    again.map(({ command }) => textOf(command)),
    ['b'],
  );
  for (const each of again) answer(engine, each);
  assert.deepEqual(names(transmits(engine)), [2]);
});

test('a cache lost again in the middle of a replay: it begins anew', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'a'), writeOf(1, 8, 'b'));
  cacheLost(engine);
  answer(engine, transmits(engine)[0]);
  cacheLost(engine);
  assert.deepEqual(
    transmits(engine).map(({ command }) => textOf(command)),
    ['a', 'b'],
  );
});

test('replayed changes stay kept until a flush after them', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'a'));
  for (let time = 0; time < 3; time++) {
    cacheLost(engine);
    assert.deepEqual(
      transmits(engine).map(({ command }) => textOf(command)),
      ['a'],
    );
    engine.handleDisconnected(0);
  }
  cacheLost(engine);
  settle(engine);
  run(engine, flushOf(1));
  assert.equal(engine.unflushedBytes, 0);
});

test('a replayed change that goes unanswered is sent again, as often as it takes', () => {
  const engine = connectedEngine({ ...keeping, maxResends: 0 });
  run(engine, writeOf(0, 0, 'a'));
  cacheLost(engine);
  transmits(engine);
  for (let times = 1; times <= 10; times++) {
    const nowMs = times * RESEND_TIMEOUT_MS;
    engine.handleTimeout(nowMs);
    assert.deepEqual(names(transmits(engine, nowMs)), [OWN]);
  }
});

test('a replayed change that the device refuses is reported by the next flush, once', () => {
  const engine = connectedEngine(keeping);
  run(engine, writeOf(0, 0, 'a'));
  cacheLost(engine);
  answer(engine, transmits(engine)[0], 0, failed);
  engine.takeCompletions();
  for (const [name, code] of [
    [1, 'DST_E_FLUSH_LOST'],
    [2, undefined],
  ] as const) {
    engine.submit(flushOf(name), 0);
    answer(engine, transmits(engine)[0]);
    const [completion] = engine.takeCompletions();
    assert.equal((completion?.error as DstError | undefined)?.code, code);
  }
});

test('with a bound of 0 nothing is kept and nothing is replayed', () => {
  const engine = connectedEngine({ replayBufferBytes: 0 });
  run(engine, writeOf(0, 0, 'a'));
  assert.equal(engine.unflushedBytes, 0);
  cacheLost(engine);
  assert.equal(engine.replaying, false);
});
