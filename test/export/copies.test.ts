/** Copies of a transaction that come late, on a stream that its client has abandoned. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CREDIT_TRANSACTIONS } from '../../src/limits.js';
import { decodeMap } from '../../src/protocol/header.js';
import { KIND } from '../../src/protocol/kinds.js';
import { errnoValue, readFailure } from '../../src/protocol/messages.js';
import { writeOf } from '../support/raw-client.js';
import { soon } from '../support/wait.js';
import { newExport } from './support.js';

test('a copy on another stream joins the first, and both are answered', async (t) => {
  const { connect, device } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'write');
  const [first, second] = [client.open(), client.open()];
  first.send(writeOf(1, 0, Buffer.from('once')));
  await soon(hold.arrived, 'the write');
  second.send(writeOf(1, 0, Buffer.from('once')));
  // Answered, so that the copy has arrived.
  await client.open().run({ transaction: 2, kind: KIND.cache, lengthBytes: 512 });
  hold.release();
  assert.deepEqual([(await first.reply()).errno, (await second.reply()).errno], [0, 0]);
  assert.equal(device.commands.filter(({ name }) => name === 'write').length, 1);
});

test('a copy below the retired mark is answered with a failure, and the connection lives on', async (t) => {
  const { connect, device } = newExport(t);
  const client = await connect();
  await client.welcome();
  const stream = client.open();
  await stream.run(writeOf(1, 0, Buffer.from('old')));
  await stream.run({ ...writeOf(2, 0, Buffer.from('new')), retired: 2 });
  const late = await client.open().run(writeOf(1, 0, Buffer.from('old')));
  assert.equal(late.kind, KIND.failed);
  assert.equal(late.errno, errnoValue('EIO'));
  assert.equal(readFailure(decodeMap(late.payload[0] as Buffer)).code, 'DST_E_RETIRED');
  assert.equal((await stream.run({ transaction: 3, lengthBytes: 512 })).errno, 0);
  assert.equal(device.commands.filter(({ name }) => name === 'write').length, 2);
});

test('copies count against the credit until they are answered', async (t) => {
  const { connect, device } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'write');
  const streams = Array.from({ length: CREDIT_TRANSACTIONS }, () => client.open());
  for (const stream of streams) stream.send(writeOf(1, 0, Buffer.from('x')));
  await soon(hold.arrived, 'the write');
  hold.release();
  for (const stream of streams) assert.equal((await stream.reply()).errno, 0);
  // All of the credit is there again, and not one more.
  const held = device.hold(({ name }) => name === 'write');
  t.after(() => held.release());
  for (const stream of streams) stream.send(writeOf(2, 0, Buffer.from('y')));
  client.open().send(writeOf(2, 0, Buffer.from('y')));
  assert.equal((await client.dismissal()).code, 'DST_E_LIMIT');
});
