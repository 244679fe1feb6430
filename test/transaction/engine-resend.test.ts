import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  answer,
  command,
  connectedEngine,
  type Engine,
  ended,
  failed,
  names,
  PLENTY,
  RESEND_TIMEOUT_MS,
  settle,
  transmits,
  trimOf,
  writeOf,
} from './engine-support.js';

const LATE_MS = RESEND_TIMEOUT_MS;

/** What goes out once the resend timeout of what was sent at 0 has passed. */
function resends(engine: Engine, nowMs = LATE_MS) {
  engine.handleTimeout(nowMs);
  return transmits(engine, nowMs);
}

test('one in flight past its time goes out again under its id, on a fresh slot', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  const [first] = transmits(engine);
  assert.deepEqual(resends(engine, LATE_MS - 1), []);
  const [second] = resends(engine);
  assert.equal(second?.transaction, first?.transaction);
  assert.notEqual(second?.slot, first?.slot);
  assert.equal(engine.counters.timedOut, 1);
  assert.equal(engine.counters.resent, 1);
  assert.deepEqual(ended(engine), []);
});

test('the old slot keeps its credit until it is answered', () => {
  const engine = connectedEngine({ credit: { transactions: 2 } });
  engine.submit(command(0, 100), 0);
  const [first] = transmits(engine);
  const [second] = resends(engine);
  assert.equal(engine.inFlight, 2);
  assert.equal(engine.inFlightBytes, 200);
  answer(engine, second, LATE_MS);
  assert.deepEqual(ended(engine), [0]);
  assert.equal(engine.inFlightBytes, 100);
  engine.submit(command(1), LATE_MS);
  engine.submit(command(2), LATE_MS);
  const [other] = transmits(engine, LATE_MS);
  assert.notEqual(other?.slot, first?.slot);
  assert.deepEqual(transmits(engine, LATE_MS), [], 'the stalled slot still counts');
  answer(engine, first, LATE_MS);
  assert.equal(transmits(engine, LATE_MS)[0]?.slot, first?.slot);
});

for (const order of ['first', 'second'] as const) {
  test(`two answers end the command once: the ${order} copy is answered first`, () => {
    const engine = connectedEngine();
    engine.submit(command(0, 100), 0);
    const copies = [...transmits(engine), ...resends(engine)];
    if (order === 'second') copies.reverse();
    answer(engine, copies[0], LATE_MS);
    assert.deepEqual(ended(engine), [0]);
    answer(engine, copies[1], LATE_MS);
    assert.deepEqual(ended(engine), []);
    assert.equal(engine.inFlight, 0);
    assert.equal(engine.inFlightBytes, 0);
  });
}

test('an answer to a copy that comes before its resend could go calls that off', () => {
  const engine = connectedEngine({ credit: { transactions: 1 } });
  engine.submit(command(0), 0);
  const [first] = transmits(engine);
  assert.deepEqual(resends(engine), [], 'no slot is free');
  answer(engine, first, LATE_MS);
  assert.deepEqual(transmits(engine, LATE_MS), []);
  assert.deepEqual(ended(engine), [0]);
});

test('the oldest of those that are late goes first', () => {
  const engine = connectedEngine();
  for (let name = 0; name < 4; name++) engine.submit(command(name), 0);
  transmits(engine);
  assert.deepEqual(names(resends(engine)), [0, 1, 2, 3]);
});

test('each resend on a connection counts, and past the bound the command fails', () => {
  const engine = connectedEngine({ maxResends: 2 });
  engine.submit(command(0), 0);
  transmits(engine);
  assert.equal(resends(engine, LATE_MS).length, 1);
  assert.equal(resends(engine, 2 * LATE_MS).length, 1);
  assert.equal(resends(engine, 3 * LATE_MS).length, 0);
  assert.deepEqual(ended(engine), [0]);
  assert.equal(engine.mustReconnect, false, 'a late read harms nothing');
});

test('a transaction that came damaged is sent again, ahead of those not yet sent', () => {
  const engine = connectedEngine({ credit: { transactions: 1 } });
  for (let name = 0; name < 3; name++) engine.submit(command(name), 0);
  const [first] = transmits(engine);
  assert.ok(first);
  engine.handleCorrupt(first.slot, first.transaction);
  const [again] = transmits(engine);
  assert.equal(again?.transaction, first.transaction);
  assert.equal(engine.counters.corrupt, 1);
  assert.equal(engine.counters.resent, 1);
});

test('a transaction that is damaged again and again never locks the window', () => {
  const engine = connectedEngine({
    maxResends: Number.POSITIVE_INFINITY,
    credit: { window: 8, transactions: 4 },
  });
  for (let name = 0; name < 100; name++) engine.submit(command(name), 0);
  let endedCount = 0;
  for (let round = 0; round < 1000 && engine.unfinished > 0; round++) {
    for (const sent of transmits(engine)) {
      if (sent.transaction === 1 && round < 50) engine.handleCorrupt(sent.slot, sent.transaction);
      else answer(engine, sent);
    }
    endedCount += ended(engine).length;
  }
  assert.equal(endedCount, 100);
});

test('a damaged answer to what has ended meanwhile is counted, and sends nothing', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  const [first] = transmits(engine);
  const [second] = resends(engine);
  assert.ok(first && second);
  answer(engine, first, LATE_MS);
  engine.handleCorrupt(second.slot, second.transaction);
  assert.equal(engine.counters.corrupt, 1);
  assert.deepEqual(transmits(engine, LATE_MS), []);
});

// ---- Changes that overlap --------------------------------------------------------------

test('a change that overlaps one in flight waits for its end', () => {
  const engine = connectedEngine();
  engine.submit(writeOf(0, 0, 'aaaa'), 0);
  engine.submit(trimOf(1, 3, 10), 0);
  const [first] = transmits(engine);
  assert.deepEqual(transmits(engine), []);
  answer(engine, first);
  assert.deepEqual(names(transmits(engine)), [1]);
});

test('changes that only touch, and reads of what changes, go side by side', () => {
  const engine = connectedEngine();
  engine.submit(writeOf(0, 0, 'aaaa'), 0);
  engine.submit(writeOf(1, 4, 'bbbb'), 0);
  engine.submit(command(2, 8), 0);
  assert.deepEqual(names(transmits(engine)), [0, 1, 2]);
});

test('a change that failed at the device lets the next one go', () => {
  const engine = connectedEngine();
  engine.submit(writeOf(0, 0, 'aaaa'), 0);
  engine.submit(writeOf(1, 0, 'bbbb'), 0);
  answer(engine, transmits(engine)[0], 0, failed);
  assert.deepEqual(names(transmits(engine)), [1]);
});

test('a change waits for one that overlaps through its resends and damaged answers', () => {
  const engine = connectedEngine();
  engine.submit(writeOf(0, 0, 'aaaa'), 0);
  engine.submit(writeOf(1, 0, 'bbbb'), 0);
  const [first] = transmits(engine);
  const [second] = resends(engine);
  assert.ok(first && second);
  engine.handleCorrupt(first.slot, first.transaction);
  const [third] = transmits(engine, LATE_MS);
  assert.equal(third?.command.name, 0);
  assert.deepEqual(transmits(engine, LATE_MS), []);
  answer(engine, third, LATE_MS);
  assert.deepEqual(names(transmits(engine, LATE_MS)), [1], 'a late copy is refused as retired');
});

test('on a new connection changes that overlap go in their order again', () => {
  const engine = connectedEngine();
  engine.submit(writeOf(0, 0, 'aaaa'), 0);
  engine.submit(writeOf(1, 2, 'bbbb'), 0);
  transmits(engine);
  engine.handleConnected(PLENTY, false, 0);
  assert.deepEqual(names(transmits(engine)), [0]);
});

// ---- Changes that were given up --------------------------------------------------------

test('a change given up while a copy may still arrive: nothing goes on that connection', () => {
  const engine = connectedEngine({ maxResends: 0 });
  engine.submit(writeOf(0, 0, 'aaaa'), 0);
  engine.submit(writeOf(1, 0, 'bbbb'), 0);
  transmits(engine);
  assert.deepEqual(resends(engine), [], 'the next one could be overtaken by the lost copy');
  assert.deepEqual(ended(engine), [0]);
  assert.equal(engine.mustReconnect, true);
  engine.handleDisconnected(LATE_MS);
  assert.equal(engine.mustReconnect, false, 'the next connection fences the copy');
  engine.handleConnected(PLENTY, false, LATE_MS);
  assert.deepEqual(names(transmits(engine, LATE_MS)), [1]);
});

test('a change given up with every copy answered has left nothing behind', () => {
  const engine = connectedEngine({ maxResends: 0 });
  engine.submit(writeOf(0, 0, 'aaaa'), 0);
  engine.submit(writeOf(1, 0, 'bbbb'), 0);
  const [sent] = transmits(engine);
  assert.ok(sent);
  engine.handleCorrupt(sent.slot, sent.transaction);
  assert.deepEqual(names(transmits(engine)), [1]);
  assert.deepEqual(ended(engine), [0]);
  assert.equal(engine.mustReconnect, false);
});

test('a change given up while there is no connection has no copy that could still arrive', () => {
  const engine = connectedEngine({ maxResends: 0 });
  engine.submit(writeOf(0, 0, 'aaaa'), 0);
  transmits(engine);
  engine.handleDisconnected(0);
  engine.handleTimeout(LATE_MS);
  assert.deepEqual(ended(engine), [0]);
  assert.equal(engine.mustReconnect, false);
});

// ---- Streams that stall ----------------------------------------------------------------

test('a stalled stream stays suspicious after another copy was answered: it holds credit', () => {
  const engine = connectedEngine({ credit: { bytes: 200 } });
  engine.submit(command(0, 100), 0);
  const [stalled] = transmits(engine);
  const [copy] = resends(engine);
  answer(engine, copy, LATE_MS);
  engine.submit(command(1, 150), LATE_MS);
  assert.deepEqual(transmits(engine, LATE_MS), []);
  assert.equal(engine.overdue(LATE_MS), true, 'or nothing would ever end it');
  answer(engine, stalled, LATE_MS);
  assert.equal(engine.overdue(LATE_MS), false);
  assert.deepEqual(settle(engine, LATE_MS), [1]);
});

test('a new connection leaves stalled streams behind', () => {
  const engine = connectedEngine();
  engine.submit(command(0), 0);
  transmits(engine);
  answer(engine, resends(engine)[0], LATE_MS);
  assert.equal(engine.overdue(LATE_MS), true);
  engine.handleConnected(PLENTY, false, LATE_MS);
  assert.equal(engine.overdue(LATE_MS), false);
});
