import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionIdentity } from '../../src/client/session-identity.js';
import type { SessionRecord } from '../../src/client/session-record.js';
import { EPOCHS_RESERVED, TRANSACTIONS_RESERVED } from '../../src/limits.js';

/** A journal that keeps everything that was saved, the newest last. */
function newJournal() {
  const saved: SessionRecord[] = [];
  return { saved, save: (record: SessionRecord) => void saved.push(record) };
}

function last<T>(list: readonly T[]): T {
  const item = list.at(-1);
  if (item === undefined) throw new Error('nothing was saved');
  return item;
}

test('an epoch is recorded before it is used, and many at a time', () => {
  const journal = newJournal();
  const identity = new SessionIdentity({ journal });
  for (let count = 0; count < 3 * EPOCHS_RESERVED; count++) {
    const epoch = identity.nextEpoch();
    assert.ok(last(journal.saved).epoch >= epoch, `epoch ${epoch}`);
  }
  assert.equal(journal.saved.length, 3);
});

test('transaction ids are recorded before they are used, and many at a time', () => {
  const journal = newJournal();
  const identity = new SessionIdentity({ journal });
  for (const id of [1, 2, TRANSACTIONS_RESERVED, TRANSACTIONS_RESERVED + 1]) {
    identity.useTransaction(id);
    assert.ok(last(journal.saved).transaction > id, `id ${id}`);
  }
  assert.equal(journal.saved.length, 2);
});

test('a session is resumed by its id, above all that may have been used', () => {
  const journal = newJournal();
  const ended = new SessionIdentity({ journal });
  const epoch = ended.nextEpoch();
  ended.useTransaction(1);
  const resumed = new SessionIdentity({ resume: last(journal.saved) });
  assert.ok(resumed.id.equals(ended.id));
  assert.equal(resumed.resumed, true);
  assert.ok(resumed.nextEpoch() > epoch + EPOCHS_RESERVED - 1);
  assert.ok(resumed.record.transaction > TRANSACTIONS_RESERVED);
});

test('sessions that are not resumed have ids of their own', () => {
  const [one, other] = [new SessionIdentity(), new SessionIdentity()];
  assert.equal(one.resumed, false);
  assert.ok(!one.id.equals(other.id));
});

test('what could not be recorded is not used', () => {
  let full = true;
  const identity = new SessionIdentity({
    journal: {
      save() {
        if (full) throw new Error('no space');
      },
    },
  });
  assert.throws(() => identity.nextEpoch(), /no space/);
  assert.throws(() => identity.useTransaction(1), /no space/);
  assert.equal(identity.epoch, 0);
  assert.equal(identity.record.transaction, 1);
  full = false;
  assert.equal(identity.nextEpoch(), 1);
});
