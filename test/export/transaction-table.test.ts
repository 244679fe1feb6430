import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DstError } from '../../src/errors.js';
import { TransactionTable } from '../../src/export/transaction-table.js';

const WINDOW = 16;

/** A table, and how often each transaction was carried out. */
function newTable() {
  const table = new TransactionTable<string>(WINDOW);
  const runs: number[] = [];
  const run = (id: number, answer: string | Promise<string> = `answer ${id}`) =>
    table.run(id, async () => {
      runs.push(id);
      return answer;
    });
  return { table, runs, run };
}

const withCode = (code: string) => (error: unknown) =>
  error instanceof DstError && error.code === code;

test('a transaction that is done is answered again, not carried out again', async () => {
  const { runs, run } = newTable();
  assert.equal(await run(1), 'answer 1');
  assert.equal(await run(1, 'another'), 'answer 1');
  assert.deepEqual(runs, [1]);
});

test('a copy of a transaction in progress joins it', async () => {
  const { runs, run } = newTable();
  let finish: (answer: string) => void = () => {};
  const first = run(
    1,
    new Promise<string>((resolve) => {
      finish = resolve;
    }),
  );
  const second = run(1);
  finish('late');
  assert.deepEqual(await Promise.all([first, second]), ['late', 'late']);
  assert.deepEqual(runs, [1]);
});

test('what the client retired is forgotten, and must not be run again', async () => {
  const { table, runs, run } = newTable();
  for (const id of [1, 2, 3]) await run(id);
  table.retire(3);
  assert.equal(table.size, 1);
  assert.throws(() => run(2), /invariant/);
  assert.equal(await run(3), 'answer 3');
  assert.deepEqual(runs, [1, 2, 3]);
});

test('the retired mark never moves down', async () => {
  const { table, run } = newTable();
  table.retire(10);
  table.retire(4);
  assert.equal(table.retired, 10);
  assert.throws(() => run(9), /invariant/);
  assert.equal(await run(10), 'answer 10');
});

test('a mark far ahead forgets everything below it at the cost of what is there', async () => {
  const { table, run } = newTable();
  await run(1);
  table.retire(Number.MAX_SAFE_INTEGER - WINDOW);
  assert.equal(table.size, 0);
  assert.equal(await run(Number.MAX_SAFE_INTEGER - WINDOW), `answer ${2 ** 53 - 1 - WINDOW}`);
});

test('an id past the window breaks the limit; the last one inside does not', async () => {
  const { table, run } = newTable();
  table.retire(100);
  await run(100 + WINDOW - 1);
  assert.throws(() => run(100 + WINDOW), withCode('DST_E_LIMIT'));
  assert.equal(table.size, 1);
});

test('what is in progress or done is known', async () => {
  const { table, run } = newTable();
  assert.equal(table.has(1), false);
  const answer = run(1);
  assert.equal(table.has(1), true);
  await answer;
  assert.equal(table.has(1), true);
  table.retire(2);
  assert.equal(table.has(1), false);
});
