import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CreditBudget } from '../../src/export/credit-budget.js';
import {
  CREDIT_BUDGET_BYTES,
  CREDIT_BYTES,
  CREDIT_BYTES_MIN,
  FRAME_PAYLOAD_BYTES_MAX,
} from '../../src/limits.js';
import { soon, until } from '../support/wait.js';
import { newExport } from './support.js';

/** So many holders, and what each was given. */
function give(budget: CreditBudget, count: number): { holder: object; bytes: number }[] {
  return Array.from({ length: count }, () => {
    const holder = {};
    return { holder, bytes: budget.take(holder) };
  });
}

test('a few connections are given the whole credit each', () => {
  for (const { bytes } of give(new CreditBudget(), 24)) assert.equal(bytes, CREDIT_BYTES);
});

test('a thousand connections are given the budget and the least, together', () => {
  const budget = new CreditBudget();
  const given = give(budget, 1000);
  assert.equal(given.at(-1)?.bytes, CREDIT_BYTES_MIN);
  const sum = given.reduce((total, { bytes }) => total + bytes, 0);
  assert.equal(budget.givenBytes, sum);
  assert.ok(sum <= CREDIT_BUDGET_BYTES + 1000 * CREDIT_BYTES_MIN, `${sum} bytes given`);
});

test('what is given back is given again, once', () => {
  const budget = new CreditBudget();
  const given = give(budget, 300);
  for (const { holder } of given) {
    budget.giveBack(holder);
    budget.giveBack(holder);
  }
  assert.equal(budget.givenBytes, 0);
  assert.equal(budget.take({}), CREDIT_BYTES);
});

test('a connection that comes when there are many is told less, and held to it', async (t) => {
  const { connect, device } = newExport(t, { shared: true });
  for (let i = 0; i < 60; i++) await (await connect()).welcome();
  const last = await connect();
  assert.equal((await last.welcome()).credit.bytes, CREDIT_BYTES_MIN);
  const hold = device.hold(({ name }) => name === 'read');
  t.after(() => hold.release());
  last.open().send({ transaction: 1, lengthBytes: FRAME_PAYLOAD_BYTES_MAX });
  await soon(hold.arrived, 'one alone, of any size');
  last.open().send({ transaction: 2, lengthBytes: 512 });
  assert.equal((await last.dismissal()).code, 'DST_E_LIMIT');
});

test('a connection that has gone leaves its credit to the next', async (t) => {
  const { connect, server } = newExport(t, { shared: true });
  const clients = await Promise.all(Array.from({ length: 60 }, () => connect()));
  for (const client of clients) await client.welcome();
  for (const client of clients) client.connection.close('gone');
  await until(() => server.connections === 0, 'all to be gone');
  assert.equal((await (await connect()).welcome()).credit.bytes, CREDIT_BYTES);
});

test('who only asks is given nothing of it', async (t) => {
  const { connect } = newExport(t, { shared: true });
  for (let i = 0; i < 60; i++) await (await connect()).welcome({ intent: 'info' });
  assert.equal((await (await connect()).welcome()).credit.bytes, CREDIT_BYTES);
});
