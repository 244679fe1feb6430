/** One writer a store, seen from the wire. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIND } from '../../src/protocol/kinds.js';
import { type RawClient, writeOf } from '../support/raw-client.js';
import { soon, until } from '../support/wait.js';
import { newExport, noting, type TestExport } from './support.js';

const LEASE_MS = 5_000;

/** Time enough for an answer that does not wait for anything. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

async function hangUp({ server }: TestExport, client: RawClient): Promise<void> {
  const before = server.connections;
  client.connection.close('gone');
  await until(() => server.connections < before, 'the end of the connection');
}

/** A client whose write is held back by the device. */
async function slowWriter(made: TestExport) {
  const client = await made.connect();
  await client.welcome();
  const hold = made.device.hold(({ offset }) => offset === 0);
  const stream = client.open();
  stream.send(writeOf(1, 0, Buffer.from('old')));
  await soon(hold.arrived, 'the write');
  return { client, stream, hold };
}

test('a second writer is refused, and told where the first one is', async (t) => {
  const { connect, server } = newExport(t);
  const first = await connect();
  await first.welcome();
  const second = await connect();
  second.hello();
  const { code, message } = await second.refusal();
  assert.equal(code, 'DST_E_BUSY');
  assert.match(message, /^memory:\d+ writes to export "vol" since \d{4}-/);
  assert.equal((await first.open().run(writeOf(1, 0, Buffer.from('mine')))).errno, 0);
  assert.equal(server.sessions, 1, 'a refused session leaves nothing behind');
});

test('those who only read come beside a writer, and before it', async (t) => {
  const { connect } = newExport(t);
  await (await connect()).welcome({ readOnly: true });
  await (await connect()).welcome();
  const reader = await connect();
  await reader.welcome({ readOnly: true });
  assert.equal((await reader.open().run({ lengthBytes: 512 })).errno, 0);
});

test('a store that is read-only is for any number of clients', async (t) => {
  const { connect } = newExport(t);
  await (await connect()).welcome({ export: 'other' });
  await (await connect()).welcome({ export: 'other' });
});

test('a shared export has any number of writers', async (t) => {
  const { connect } = newExport(t, { shared: true });
  for (let transaction = 1; transaction <= 3; transaction++) {
    const client = await connect();
    await client.welcome({ resuming: transaction === 3, takeover: transaction === 2 });
    assert.equal((await client.open().run(writeOf(1, 0, Buffer.from('x')))).errno, 0);
  }
});

test('of two that ask at once one gets the claim', async (t) => {
  const { connect } = newExport(t);
  const clients = await Promise.all([connect(), connect(), connect()]);
  for (const client of clients) client.hello();
  const kinds = await Promise.all(clients.map(async (client) => (await client.frame()).kind));
  assert.deepEqual(kinds.sort(), [KIND.welcome, KIND.refused, KIND.refused]);
});

test('a session whose WELCOME got lost is let in when it asks again', async (t) => {
  const made = newExport(t);
  const first = await made.connect();
  first.hello({ epoch: 1 });
  await hangUp(made, first);
  const second = await made.connect(first.session);
  await second.welcome({ epoch: 2, resuming: false });
});

test('a claim lasts as long as the lease of its session, and no longer', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const made = newExport(t, { leaseMs: LEASE_MS });
  const { connect, server } = made;
  const first = await connect();
  await first.welcome();
  await hangUp(made, first);
  t.mock.timers.tick(LEASE_MS - 1);
  await turns();
  const early = await connect();
  early.hello();
  assert.equal((await early.refusal()).code, 'DST_E_BUSY');
  t.mock.timers.tick(1);
  await until(() => server.sessions === 0, 'the end of the lease');
  const late = await connect();
  await late.welcome();
  const back = await connect(first.session);
  back.hello({ epoch: 2, resuming: true });
  const { code, message } = await back.refusal();
  assert.equal(code, 'DST_E_TAKEN_OVER');
  assert.match(message, /has written to export "vol" since/);
});

test('a lapsed session is let in again if nobody has claimed the store since', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const made = newExport(t, { leaseMs: LEASE_MS });
  const first = await made.connect();
  await first.welcome();
  await hangUp(made, first);
  t.mock.timers.tick(LEASE_MS);
  await until(() => made.server.sessions === 0, 'the end of the lease');
  const back = await made.connect(first.session);
  await back.welcome({ epoch: 2, resuming: true });
});

test('a session that this export never knew is let in: it has known one before', async (t) => {
  const { connect } = newExport(t);
  await (await connect()).welcome({ epoch: 9, resuming: true });
});

test('a lapsed claim is not free before its last command has ended', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const made = newExport(t, { leaseMs: LEASE_MS });
  const { client, hold } = await slowWriter(made);
  await hangUp(made, client);
  t.mock.timers.tick(LEASE_MS);
  await turns();
  const early = await made.connect();
  early.hello();
  assert.equal((await early.refusal()).code, 'DST_E_BUSY');
  hold.release();
  await until(() => made.server.sessions === 0, 'the end of the lease');
  await (await made.connect()).welcome();
});

test('a takeover fences the holder, whose commands end before WELCOME', async (t) => {
  const made = newExport(t);
  const { client: holder, hold } = await slowWriter(made);
  const taker = await made.connect();
  let welcomed = false;
  const welcome = taker.welcome({ takeover: true }).then(() => {
    welcomed = true;
  });
  const { failure } = await holder.notice('closing');
  assert.equal(failure.code, 'DST_E_TAKEN_OVER');
  assert.match(failure.message, /^memory:\d+ has taken over export "vol"/);
  holder.open().send(writeOf(2, 512, Buffer.from('late')));
  await turns();
  assert.equal(welcomed, false);
  hold.release();
  await welcome;
  assert.equal((await taker.open().run(writeOf(1, 0, Buffer.from('new')))).errno, 0);
  assert.deepEqual(
    made.device.commands.map(({ offset }) => offset),
    [0, 0],
    'what the holder sent later was not carried out',
  );
});

test('the later HELLOs of whom was taken over are refused, whatever they ask', async (t) => {
  const made = newExport(t);
  const holder = await made.connect();
  await holder.welcome();
  await (await made.connect()).welcome({ takeover: true });
  await holder.dismissal();
  for (const resuming of [true, false]) {
    const back = await made.connect(holder.session);
    back.hello({ epoch: 2, resuming, takeover: true });
    assert.equal((await back.refusal()).code, 'DST_E_TAKEN_OVER');
  }
});

test('a takeover needs the holder’s connection no more than its lease', async (t) => {
  const made = newExport(t);
  const holder = await made.connect();
  await holder.welcome();
  await hangUp(made, holder);
  await (await made.connect()).welcome({ takeover: true });
  assert.equal(made.server.sessions, 1);
});

test('who takes over from one that still waits for the first, waits for it too', async (t) => {
  const made = newExport(t);
  const { hold } = await slowWriter(made);
  const second = await made.connect();
  second.hello({ takeover: true });
  await turns();
  const third = await made.connect();
  let welcomed = false;
  const welcome = third.welcome({ takeover: true }).then(() => {
    welcomed = true;
  });
  assert.equal((await second.refusal()).code, 'DST_E_TAKEN_OVER');
  await turns();
  assert.equal(welcomed, false);
  hold.release();
  await welcome;
});

test('of HELLOs that wait for a slow command, the newest is welcomed', async (t) => {
  const made = newExport(t);
  const { client, hold } = await slowWriter(made);
  const waiting = await made.connect(client.session);
  waiting.hello({ epoch: 2, resuming: true });
  await client.dismissal();
  const newest = await made.connect(client.session);
  const welcome = newest.welcome({ epoch: 3, resuming: true });
  assert.equal((await waiting.refusal()).code, 'DST_E_FENCED');
  await turns();
  hold.release();
  await welcome;
  assert.equal((await newest.open().run(writeOf(1, 0, Buffer.from('old')))).errno, 0);
  assert.equal(made.device.commands.length, 1);
});

test('a client that leaves gives its claim up at once', async (t) => {
  const { connect, server } = newExport(t);
  const first = await connect();
  await first.welcome();
  assert.equal((await first.open().run(writeOf(1, 0, Buffer.from('x')))).errno, 0);
  first.leave();
  await first.closed;
  assert.equal(server.sessions, 0);
  await (await connect()).welcome();
});

test('a client that leaves gives its claim up when its commands have ended', async (t) => {
  const made = newExport(t);
  const { client, hold } = await slowWriter(made);
  client.leave();
  await turns();
  const early = await made.connect();
  early.hello();
  assert.equal((await early.refusal()).code, 'DST_E_BUSY');
  hold.release();
  await client.closed;
  await (await made.connect()).welcome();
});

test('a client that only asked may leave too', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  await client.welcome({ intent: 'list', export: '' });
  client.leave();
  assert.equal((await client.closed).message, 'left');
});

test('without the rule "fence" a takeover waits for nobody', async (t) => {
  const made = newExport(t, { rules: { fence: false, table: true } });
  const { hold } = await slowWriter(made);
  await (await made.connect()).welcome({ takeover: true });
  hold.release();
});

test('the log tells who came, went, was back, was taken over and stayed away', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lines: { details: unknown; line: unknown }[] = [];
  const made = newExport(t, { leaseMs: LEASE_MS, log: noting(lines) });
  const first = await made.connect();
  await first.welcome();
  await hangUp(made, first);
  const again = await made.connect(first.session);
  await again.welcome({ epoch: 2, resuming: true });
  const taker = await made.connect();
  await taker.welcome({ takeover: true });
  await hangUp(made, taker);
  t.mock.timers.tick(LEASE_MS);
  await until(() => made.server.sessions === 0, 'the end of the lease');
  const said = lines.map(({ line }) => line);
  assert.deepEqual(said, [
    'client attached',
    'client gone',
    'client is back',
    'taken over: the client that wrote until now is fenced',
    'client attached',
    'client gone',
    'lease lapsed: its client stayed away',
  ]);
});
