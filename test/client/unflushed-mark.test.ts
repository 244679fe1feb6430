import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionIdentity } from '../../src/client/session-identity.js';
import type { SessionRecord } from '../../src/client/session-record.js';
import { UnflushedMark } from '../../src/client/unflushed-mark.js';
import { UNFLUSHED_MARK_MIN_MS } from '../../src/limits.js';
import { pass, VirtualClock } from '../support/virtual-time.js';

const EXPORT = Buffer.alloc(16, 1);
const OTHER_EXPORT = Buffer.alloc(16, 2);

function newMark(resume?: SessionRecord) {
  const clock = new VirtualClock();
  let saves = 0;
  const identity = new SessionIdentity({ resume, journal: { save: () => void saves++ } });
  const mark = new UnflushedMark(identity, clock);
  mark.welcomed(EXPORT);
  return { clock, identity, mark, saves: () => saves };
}

test('what the export holds unflushed is recorded at once, with who holds it', () => {
  const { identity, mark } = newMark();
  mark.note('flushed');
  assert.equal(identity.record.unflushed, false);
  mark.note('held');
  assert.equal(identity.record.unflushed, true);
  assert.equal(identity.record.verifier, EXPORT);
});

test('the mark goes some time after the last flush', async () => {
  const { clock, identity, mark } = newMark();
  mark.note('held');
  mark.note('flushed');
  assert.equal(identity.record.unflushed, true);
  await pass(clock, UNFLUSHED_MARK_MIN_MS);
  assert.equal(identity.record.unflushed, false);
});

test('the mark stays as long as something is not flushed', async () => {
  const { clock, identity, mark } = newMark();
  mark.note('held');
  await pass(clock, 10 * UNFLUSHED_MARK_MIN_MS);
  assert.equal(identity.record.unflushed, true);
});

test('flushing each write does not save the record for each', async () => {
  const { clock, mark, saves } = newMark();
  for (let write = 0; write < 1_000; write++) {
    mark.note('held');
    mark.note('flushed');
    await pass(clock, 10);
  }
  assert.ok(saves() <= 2, `${saves()} saves`);
});

test('another export is recorded only once it holds everything', () => {
  const { identity, mark } = newMark();
  mark.note('held');
  mark.welcomed(OTHER_EXPORT);
  mark.note('doubtful');
  assert.equal(identity.record.verifier, EXPORT, 'the replay has not ended');
  mark.note('held');
  assert.equal(identity.record.verifier, OTHER_EXPORT);
});

test('another export that needs no replay has nothing to lose', () => {
  const { identity, mark } = newMark();
  mark.note('held');
  mark.note('flushed');
  mark.welcomed(OTHER_EXPORT);
  mark.note('flushed');
  assert.equal(identity.record.unflushed, false);
});

test('an export that may have lost something is trusted no more, until it has it again', () => {
  const { identity, mark } = newMark();
  mark.note('held');
  mark.note('doubtful');
  assert.equal(identity.record.unflushed, true);
  assert.equal(identity.record.verifier, undefined);
  mark.note('held');
  assert.equal(identity.record.verifier, EXPORT);
});

test('what was inherited stays marked, whatever happens, until it has been flushed', async () => {
  const { clock, identity, mark } = newMark({
    id: Buffer.alloc(16),
    epoch: 64,
    transaction: 1000,
    verifier: EXPORT,
    unflushed: true,
  });
  assert.equal(mark.inherited, true);
  mark.note('flushed');
  await pass(clock, 10 * UNFLUSHED_MARK_MIN_MS);
  assert.equal(identity.record.unflushed, true);
  mark.inheritedFlushed();
  assert.equal(identity.record.unflushed, false);
  assert.equal(mark.inherited, false);
});

test('a session that has ended leaves its record as it is', async () => {
  const { clock, identity, mark } = newMark();
  mark.note('held');
  mark.note('flushed');
  mark.end();
  await pass(clock, 10 * UNFLUSHED_MARK_MIN_MS);
  assert.equal(identity.record.unflushed, true);
});
