import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Queue } from '../../src/transaction/queue.js';

function drain(queue: Queue<number>): number[] {
  const items: number[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item);
  return items;
}

test('items come out as they went in, those put back first', () => {
  const queue = new Queue<number>();
  queue.putBack(2);
  for (const item of [3, 4]) queue.push(item);
  queue.putBack(1);
  assert.equal(queue.first, 1);
  assert.equal(queue.shift(), 1);
  queue.putBack(0);
  assert.deepEqual(drain(queue), [0, 2, 3, 4]);
  assert.equal(queue.first, undefined);
});

test('a queue that is never empty keeps its order while its front is cut off', () => {
  const queue = new Queue<number>();
  let next = 0;
  let expected = 0;
  for (let round = 0; round < 5_000; round++) {
    queue.push(next++);
    queue.push(next++);
    assert.equal(queue.shift(), expected++);
    if (round % 100 === 0) queue.putBack(--expected);
  }
  assert.deepEqual(
    drain(queue),
    Array.from({ length: next - expected }, (_, at) => expected + at),
  );
});

test('what has left the queue is not held by it', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const queue = new Queue<object>();
  const gone = new WeakRef(putAndTake(queue));
  // A WeakRef holds its target until the turn of the event loop ends.
  await new Promise(setImmediate);
  collect();
  assert.equal(gone.deref(), undefined);
  assert.ok(queue.first);
});

function putAndTake(queue: Queue<object>): object {
  queue.push({});
  queue.push({});
  return queue.shift() ?? {};
}
