import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlushQueue } from '../../src/block/flush-queue.js';
import { DstError } from '../../src/errors.js';
import { dstError, signal } from './helpers.js';

/** A queue whose syncs end when the test says so. */
function heldQueue(): { queue: FlushQueue; syncs: ReturnType<typeof signal>[] } {
  const syncs: ReturnType<typeof signal>[] = [];
  const queue = new FlushQueue('file x', () => {
    const sync = signal();
    syncs.push(sync);
    return sync.promise;
  });
  return { queue, syncs };
}

/** Lets all that is ready to run do so. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('flushes that come while one runs share the next one, never the running one', async () => {
  const { queue, syncs } = heldQueue();
  const first = queue.flush();
  let laterEnded = false;
  const later = Promise.all([queue.flush(), queue.flush()]).then(() => {
    laterEnded = true;
  });
  assert.equal(syncs.length, 1);

  syncs[0]?.resolve();
  await first;
  await settled();
  assert.equal(laterEnded, false);
  assert.equal(syncs.length, 2);

  syncs[1]?.resolve();
  await later;
  assert.equal(syncs.length, 2);
});

test('a flush that comes just as one ends joins the one that waits', async () => {
  const { queue, syncs } = heldQueue();
  const first = queue.flush();
  // Registered before the second flush, so that it runs before the second one starts.
  const newcomer = first.then(() => queue.flush());
  const second = queue.flush();
  syncs[0]?.resolve();
  await settled();
  assert.equal(syncs.length, 2);
  syncs[1]?.resolve();
  await Promise.all([second, newcomer]);
  assert.equal(syncs.length, 2);
});

test('a flush after all have ended syncs anew', async () => {
  let syncs = 0;
  const queue = new FlushQueue('file x', async () => {
    syncs += 1;
  });
  await queue.flush();
  await queue.flush();
  assert.equal(syncs, 2);
});

test('after a failed flush every later one fails, without asking the disk', async () => {
  let syncs = 0;
  const queue = new FlushQueue('file x', async () => {
    syncs += 1;
    throw new DstError('DST_E_IO', 'broken', { errno: 'EIO' });
  });
  const [first, waiting] = [queue.flush(), queue.flush()];
  const later = dstError('DST_E_FLUSH_LOST', { errno: 'EIO', message: /restart the export/ });
  await Promise.all([
    assert.rejects(first, dstError('DST_E_IO', { errno: 'EIO' })),
    assert.rejects(waiting, later),
  ]);
  await assert.rejects(queue.flush(), later);
  await assert.rejects(queue.flush(), later);
  assert.equal(syncs, 1);
});
