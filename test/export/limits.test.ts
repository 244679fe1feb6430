import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CREDIT_BYTES,
  CREDIT_TRANSACTIONS,
  FRAME_PAYLOAD_BYTES_MAX,
  TRANSACTION_WINDOW,
} from '../../src/limits.js';
import { encodeRequest } from '../../src/protocol/encode.js';
import { NO_CHECKSUM } from '../../src/protocol/frame.js';
import { FLAG, KIND } from '../../src/protocol/kinds.js';
import { errnoValue } from '../../src/protocol/messages.js';
import { type RawClient, writeOf } from '../support/raw-client.js';
import { soon } from '../support/wait.js';
import { newExport } from './support.js';

/** One client that will break a rule, and one that keeps them all. */
async function twoClients(t: Parameters<typeof newExport>[0]) {
  const made = newExport(t, { shared: true });
  const bad = await made.connect();
  await bad.welcome();
  const good = await made.connect();
  await good.welcome();
  return { ...made, bad, good };
}

async function assertOnlyBadEnds(bad: RawClient, good: RawClient, code: string): Promise<void> {
  assert.equal((await bad.dismissal()).code, code);
  await bad.closed;
  assert.equal((await good.open().run({ kind: KIND.flush })).errno, 0);
}

test('more transactions in flight than the credit end that connection only', async (t) => {
  const { bad, good, device } = await twoClients(t);
  const hold = device.hold(({ name }) => name === 'cache');
  t.after(() => hold.release());
  for (let i = 0; i <= CREDIT_TRANSACTIONS; i++) {
    bad.open().send({ kind: KIND.cache, transaction: i + 1, lengthBytes: 512 });
  }
  await assertOnlyBadEnds(bad, good, 'DST_E_LIMIT');
});

test('as many as the credit allows are answered', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  await client.welcome();
  const replies = Array.from({ length: CREDIT_TRANSACTIONS }, (_, i) =>
    client.open().run({ kind: KIND.cache, transaction: i + 1, lengthBytes: 512 }),
  );
  for (const reply of await Promise.all(replies)) assert.equal(reply.errno, 0);
});

test('more bytes in flight than the credit end that connection only', async (t) => {
  const { bad, good, device } = await twoClients(t);
  const hold = device.hold(({ name }) => name === 'read');
  t.after(() => hold.release());
  for (let i = 0; i <= CREDIT_BYTES / FRAME_PAYLOAD_BYTES_MAX; i++) {
    bad.open().send({ transaction: i + 1, lengthBytes: FRAME_PAYLOAD_BYTES_MAX });
  }
  await assertOnlyBadEnds(bad, good, 'DST_E_LIMIT');
});

test('a hash counts against the credit as the read that it is', async (t) => {
  const { bad, good } = await twoClients(t);
  bad.open().send({ kind: KIND.hash, lengthBytes: 2 ** 40 });
  await assertOnlyBadEnds(bad, good, 'DST_E_PROTOCOL');
});

test('a transaction larger than a payload may be ends that connection only', async (t) => {
  const { bad, good, device } = await twoClients(t);
  bad.open().send({ lengthBytes: FRAME_PAYLOAD_BYTES_MAX + 1 });
  await assertOnlyBadEnds(bad, good, 'DST_E_PROTOCOL');
  assert.equal(device.commands.filter(({ name }) => name === 'read').length, 0);
});

test('a write is refused by its header, before its payload is kept', async (t) => {
  const { bad, good } = await twoClients(t);
  const [head] = encodeRequest({
    kind: KIND.write,
    transaction: 1,
    flags: 0,
    retired: 1,
    offset: 0,
    lengthBytes: FRAME_PAYLOAD_BYTES_MAX + 1,
    checksum: NO_CHECKSUM,
    payload: [Buffer.alloc(FRAME_PAYLOAD_BYTES_MAX + 1)],
  });
  assert.ok(head);
  bad.open().write(head);
  await assertOnlyBadEnds(bad, good, 'DST_E_PROTOCOL');
});

test('what shares a stream counts against the credit, each by itself', async (t) => {
  const { bad, good, device } = await twoClients(t);
  const hold = device.hold(({ name }) => name === 'cache');
  t.after(() => hold.release());
  const stream = bad.open();
  for (let i = 0; i <= CREDIT_TRANSACTIONS; i++) {
    stream.send({ kind: KIND.cache, transaction: i + 1, lengthBytes: 512 });
  }
  await assertOnlyBadEnds(bad, good, 'DST_E_LIMIT');
});

test('of those that share a stream none waits for another', async (t) => {
  const { device, connect } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'flush');
  const stream = client.open();
  stream.send({ kind: KIND.flush, transaction: 1 });
  stream.send({ transaction: 2, lengthBytes: 512 });
  assert.equal((await stream.reply()).transaction, 2);
  hold.release();
  assert.equal((await stream.reply()).transaction, 1);
});

test('a stream carries one transaction after the other', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  await client.welcome();
  const stream = client.open();
  for (let transaction = 1; transaction <= 100; transaction++) {
    const reply = await stream.run({ transaction, lengthBytes: 512, retired: transaction });
    assert.deepEqual([reply.transaction, reply.payloadBytes], [transaction, 512]);
  }
});

test('a second LEAVE is a breach, and not kept until the disk answers', async (t) => {
  const { bad, good, device } = await twoClients(t);
  const hold = device.hold(({ name }) => name === 'read');
  t.after(() => hold.release());
  bad.open().send({ transaction: 1, lengthBytes: 512 });
  await soon(hold.arrived, 'the read');
  bad.leave();
  bad.leave();
  await assertOnlyBadEnds(bad, good, 'DST_E_PROTOCOL');
});

test('an id past the window ends that connection only', async (t) => {
  const { bad, good } = await twoClients(t);
  bad.open().send(writeOf(TRANSACTION_WINDOW + 1, 0, Buffer.from('x')));
  await assertOnlyBadEnds(bad, good, 'DST_E_LIMIT');
});

test('a flag that its command does not have ends that connection only', async (t) => {
  const { bad, good } = await twoClients(t);
  bad.open().send({ kind: KIND.flush, flags: FLAG.fua });
  await assertOnlyBadEnds(bad, good, 'DST_E_PROTOCOL');
});

test('garbage on a request stream ends that connection only', async (t) => {
  const { bad, good } = await twoClients(t);
  bad.open().write(Buffer.from('GET / HTTP/1.1\r\n'.repeat(10)));
  await assertOnlyBadEnds(bad, good, 'DST_E_PROTOCOL');
});

test('a write to a read-only export is answered with EPERM, and the connection lives on', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  await client.welcome({ export: 'other' });
  const stream = client.open();
  const reply = await stream.run(writeOf(1, 0, Buffer.from('x')));
  assert.equal(reply.errno, errnoValue('EPERM'));
  assert.equal((await stream.run({ transaction: 2, lengthBytes: 512 })).errno, 0);
});

test('a write of a client that said it would only read is answered with EPERM', async (t) => {
  const { connect, device } = newExport(t);
  const client = await connect();
  await client.welcome({ readOnly: true });
  const reply = await client.open().run(writeOf(1, 0, Buffer.from('x')));
  assert.equal(reply.errno, errnoValue('EPERM'));
  assert.equal(device.commands.length, 0);
});

test('an answer to a connection that has gone is dropped, and its buffers released', async (t) => {
  const { connect, device, server } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'read');
  client.open().send({ lengthBytes: 512 });
  await soon(hold.arrived, 'the read');
  client.connection.close('gone');
  await client.closed;
  hold.release();
  const next = await connect(client.session);
  await next.welcome({ epoch: 2 });
  assert.equal((await next.open().run({ lengthBytes: 512 })).errno, 0);
  assert.equal(server.sessions, 1);
});
