import assert from 'node:assert/strict';
import { test } from 'node:test';
import { payloadOf } from '../../src/block/payload.js';
import { REPLAY_ENTRY_BYTES, REPLAY_SLAB_BYTES, REPLAY_SLABS_IDLE_MAX } from '../../src/limits.js';
import { FLAG, KIND } from '../../src/protocol/kinds.js';
import type { Command } from '../../src/transaction/command.js';
import { ReplayLog } from '../../src/transaction/replay-log.js';
import { command, textOf, trimOf, writeOf } from './engine-support.js';

const WHOLE_SLAB = Buffer.alloc(REPLAY_SLAB_BYTES);

const texts = (log: ReplayLog) => [...log.commands()].map(textOf);

/** As a change that is submitted, and then acked. */
function acked(log: ReplayLog, change: Command): void {
  log.onChanged(change, log.keep(change));
}

function logOf(...written: string[]): ReplayLog {
  const log = new ReplayLog(1 << 20);
  for (const [at, text] of written.entries()) acked(log, writeOf(at, at, text));
  return log;
}

test('what was changed comes back whole, oldest first', () => {
  const log = new ReplayLog(1 << 20);
  acked(log, writeOf(0, 512, 'one', { fua: false }));
  acked(log, trimOf(1, 0, 4096));
  acked(log, { ...trimOf(2, 8, 16), kind: KIND.writeZeroes, flags: FLAG.noHole });
  const [write, trim, zeroes] = [...log.commands()];
  assert.ok(write && trim && zeroes);
  assert.deepEqual(
    [write.kind, write.offset, write.lengthBytes, write.creditBytes, textOf(write)],
    [KIND.write, 512, 3, 3, 'one'],
  );
  assert.deepEqual([trim.kind, trim.offset, trim.lengthBytes], [KIND.trim, 0, 4096]);
  assert.equal(trim.payload, undefined);
  assert.deepEqual([zeroes.kind, zeroes.flags], [KIND.writeZeroes, FLAG.noHole]);
});

test('the log keeps a copy: the caller may reuse its buffers', () => {
  const bytes = Buffer.from('before');
  const log = new ReplayLog(1 << 20);
  const change = { ...writeOf(0, 0, 'before'), payload: payloadOf([bytes]) };
  const kept = log.keep(change);
  bytes.fill('!');
  log.onChanged(change, kept);
  assert.deepEqual(texts(log), ['before']);
});

test('with nothing left to keep, most of the memory is let go', () => {
  const log = new ReplayLog(64 * REPLAY_SLAB_BYTES);
  const fill = () => {
    const written = Array.from({ length: 2 * REPLAY_SLABS_IDLE_MAX }, (_, at) => {
      const change = { ...writeOf(at, at, ''), payload: payloadOf([WHOLE_SLAB]) };
      acked(log, change);
      return change.payload.pieces[0]?.buffer;
    });
    log.onFlushed(log.next, false, false);
    return written;
  };
  const known = new Set(fill());
  const again = fill().filter((buffer) => known.has(buffer));
  assert.equal(again.length, REPLAY_SLABS_IDLE_MAX + 1);
});

test('a flush drops what lies before its position', () => {
  const log = logOf('a', 'b');
  const position = log.next;
  acked(log, writeOf(2, 2, 'c'));
  assert.equal(log.onFlushed(position, false, false), undefined);
  assert.deepEqual(texts(log), ['c']);
  assert.equal(log.bytes, 1 + REPLAY_ENTRY_BYTES);
  log.onFlushed(log.next, false, false);
  assert.equal(log.size, 0);
  assert.equal(log.bytes, 0);
});

test('flushes that are answered out of order drop what the latest covers', () => {
  const log = logOf('a', 'b', 'c');
  log.cover(2);
  log.cover(1);
  assert.deepEqual(texts(log), ['c']);
});

test('a durable change is kept only over older ones that are not', () => {
  const log = new ReplayLog(1 << 20);
  acked(log, writeOf(0, 0, 'durable', { fua: true }));
  assert.equal(log.size, 0);
  acked(log, writeOf(1, 0, 'volatile'));
  acked(log, writeOf(2, 0, 'durable', { fua: true }));
  assert.deepEqual(texts(log), ['volatile', 'durable']);
});

test('what is on its way counts against the bound; one alone always fits', () => {
  const cost = 10 + REPLAY_ENTRY_BYTES;
  const log = new ReplayLog(2 * cost);
  const change = writeOf(0, 0, '0123456789');
  assert.equal(log.fits(change, cost), true);
  assert.equal(log.fits(change, cost + 1), false);
  acked(log, change);
  assert.equal(log.fits(change, 0), true);
  assert.equal(log.fits(change, 1), false);
  assert.equal(new ReplayLog(1).fits(change, 0), true);
});

test('many trims count, though they carry no payload', () => {
  const log = new ReplayLog(4 * REPLAY_ENTRY_BYTES);
  acked(log, trimOf(0, 0, 1));
  assert.equal(log.nearBound, false);
  acked(log, trimOf(1, 0, 1));
  assert.equal(log.nearBound, true);
});

test('a log that many changes pass through holds what was not covered', () => {
  const COUNT = 10_000;
  const log = new ReplayLog(1 << 30);
  for (let at = 0; at < COUNT; at++) {
    acked(log, writeOf(at, at, String(at)));
    if (at % 7 === 0) log.cover(Math.max(0, log.next - 3));
  }
  const last = COUNT - 1 - ((COUNT - 1) % 7);
  assert.equal(texts(log)[0], String(last - 2));
  assert.equal(texts(log).at(-1), String(COUNT - 1));
});

test('what changes nothing is never logged, and a flush never covers what is to come', () => {
  const log = logOf('a');
  assert.throws(() => acked(log, command(0)), /invariant/);
  assert.throws(() => log.cover(2), /invariant/);
});

test('a copy that is given back is not in the log', () => {
  const log = new ReplayLog(1 << 20);
  const change = writeOf(0, 0, 'never acked');
  const kept = log.keep(change);
  assert.ok(kept !== undefined);
  assert.equal(textOf(change), 'never acked');
  log.release(kept);
  assert.equal(log.size, 0);
});

test('a log without room for anything keeps no copy', () => {
  const log = new ReplayLog(0);
  const change = writeOf(0, 0, 'bytes');
  const { payload } = change;
  assert.equal(log.keep(change), undefined);
  assert.equal(change.payload, payload);
});
