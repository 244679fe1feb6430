import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Decision } from '../../src/access/gate.js';
import { DstError } from '../../src/errors.js';
import {
  REFUSAL_LINGER_MS,
  SESSIONS_RESUMED_TIMES,
  TURN_AWAY_TIMEOUT_MS,
} from '../../src/limits.js';
import { encodeControl } from '../../src/protocol/encode.js';
import { KIND } from '../../src/protocol/kinds.js';
import { errnoValue, SESSION_BYTES } from '../../src/protocol/messages.js';
import { writeOf } from '../support/raw-client.js';
import { until } from '../support/wait.js';
import { newExport, noting } from './support.js';

const MAY_WRITE: Decision = { kind: 'admitted', permission: 'rw' };
const MAY_READ: Decision = { kind: 'admitted', permission: 'ro' };
const REFUSED: Decision = {
  kind: 'refused',
  failure: new DstError('DST_E_ADDRESS_DENIED', 'the export lets no client in from here'),
};

/** An export whose gate decides as it is told, from one connection to the next. */
function gated(t: TestContext, options: Parameters<typeof newExport>[1] = {}) {
  const told = { decision: MAY_WRITE, mayTell: true };
  const gate = {
    decide: () => told.decision,
    chargeProof: () => true,
    refundProof() {},
    mayTell: () => told.mayTell,
  };
  return { ...newExport(t, { gate, ...options }), told };
}

/** Lets what was sent arrive, where timers stand still. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test('a refused connection is told so, and its HELLO is not looked at', async (t) => {
  const { connect, told, server } = gated(t);
  told.decision = REFUSED;
  const client = await connect();
  client.write(Buffer.from('GET / HTTP/1.1\r\n'));
  assert.equal((await client.refusal()).code, 'DST_E_ADDRESS_DENIED');
  await client.closed;
  await until(() => server.connections === 0, 'the end of the connection');
});

test('a refused connection is told once, and closed soon after', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, told, server } = gated(t);
  told.decision = REFUSED;
  const client = await connect();
  client.hello();
  await client.refusal({ stay: true });
  t.mock.timers.tick(REFUSAL_LINGER_MS - 1);
  client.hello();
  client.open().send({ kind: KIND.flush });
  await turns();
  assert.equal(server.connections, 1);
  t.mock.timers.tick(1);
  assert.equal(server.connections, 0, 'whatever it sends, it stays no longer');
  await client.closed;
});

test('a refused connection that says nothing is closed without a word', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, told, server } = gated(t);
  told.decision = REFUSED;
  const client = await connect();
  assert.equal(server.connections, 1);
  t.mock.timers.tick(TURN_AWAY_TIMEOUT_MS);
  assert.equal(server.connections, 0);
  await client.closed;
});

test('a connection that is dropped is closed at once, with the reason', async (t) => {
  const { connect, told, server } = gated(t);
  told.decision = { kind: 'dropped', reason: 'too many' };
  const client = await connect();
  assert.equal(server.connections, 0);
  assert.equal((await client.closed).message, 'too many');
});

// ---- Read-only by rule ---------------------------------------------------------------

test('whoever may only read is told so, and a hand-made change is answered with EPERM', async (t) => {
  const { connect, told, device } = gated(t);
  told.decision = MAY_READ;
  const client = await connect();
  assert.equal((await client.welcome()).export?.readOnly, true);
  const stream = client.open();
  const changes = [
    writeOf(1, 0, Buffer.from('x')),
    { kind: KIND.trim, transaction: 2, lengthBytes: 512 },
    { kind: KIND.writeZeroes, transaction: 3, lengthBytes: 512 },
  ];
  for (const change of changes) {
    assert.equal((await stream.run(change)).errno, errnoValue('EPERM'));
  }
  assert.equal(device.commands.length, 0);
  assert.equal((await stream.run({ transaction: 4, lengthBytes: 512 })).errno, 0);
});

test('list and info say what a reader may do', async (t) => {
  const { connect, told } = gated(t);
  told.decision = MAY_READ;
  const list = await (await connect()).welcome({ intent: 'list', export: '' });
  assert.deepEqual(
    list.exports.map(({ readOnly }) => readOnly),
    [true, true],
  );
  const info = await (await connect()).welcome({ intent: 'info' });
  assert.equal(info.export?.readOnly, true);
});

test('readers by rule stand beside the one writer', async (t) => {
  const { connect, told } = gated(t);
  await (await connect()).welcome();
  told.decision = MAY_READ;
  await (await connect()).welcome();
  await (await connect()).welcome();
  told.decision = MAY_WRITE;
  const second = await connect();
  second.hello();
  assert.equal((await second.refusal()).code, 'DST_E_BUSY');
});

test('a writer that comes back where it may only read is refused, and may come back elsewhere', async (t) => {
  const { connect, told } = gated(t);
  const writer = await connect();
  await writer.welcome({ epoch: 1 });
  told.decision = MAY_READ;
  for (const readOnly of [false, true]) {
    const roamed = await connect(writer.session);
    roamed.hello({ epoch: 2, resuming: true, readOnly });
    assert.equal((await roamed.refusal()).code, 'DST_E_PERMISSION_LOST');
  }
  assert.equal((await writer.open().run(writeOf(1, 0, Buffer.from('x')))).errno, 0);
  told.decision = MAY_WRITE;
  const back = await connect(writer.session);
  assert.equal((await back.welcome({ epoch: 3, resuming: true })).export?.readOnly, false);
});

test('so is one that this process has not known as a writer', async (t) => {
  const { connect, told } = gated(t);
  told.decision = MAY_READ;
  const writer = await connect();
  writer.hello({ resuming: true });
  assert.equal((await writer.refusal()).code, 'DST_E_PERMISSION_LOST');
  const reader = await connect();
  assert.equal((await reader.welcome({ resuming: true, readOnly: true })).export?.readOnly, true);
});

test('a reader that comes back where it might write stays one', async (t) => {
  const { connect, told } = gated(t);
  told.decision = MAY_READ;
  const reader = await connect();
  await reader.welcome({ epoch: 1 });
  told.decision = MAY_WRITE;
  const back = await connect(reader.session);
  assert.equal((await back.welcome({ epoch: 2, resuming: true })).export?.readOnly, true);
});

// ---- What the log says ---------------------------------------------------------------

test('a HELLO that is refused is in the log, and why', async (t) => {
  const lines: { details: unknown; line: unknown }[] = [];
  const { connect } = gated(t, { log: noting(lines) });
  const client = await connect();
  client.hello({ export: 'nowhere' });
  const { code, message: reason } = await client.refusal();
  const { peer } = client.connection;
  assert.equal(code, 'DST_E_EXPORT_UNKNOWN');
  assert.deepEqual(lines, [{ details: { peer, code, reason }, line: 'refused' }]);
});

test('a breach is in the log', async (t) => {
  const lines: { details: { code?: string }; line: unknown }[] = [];
  const { connect } = gated(t, { log: noting(lines) });
  const client = await connect();
  client.write(encodeControl(KIND.ping, 1));
  await client.refusal();
  assert.deepEqual(
    lines.map(({ details, line }) => [details.code, line]),
    [['DST_E_PROTOCOL', 'connection closed']],
  );
});

test('an address of which the log has told may not fill it', async (t) => {
  const lines: { details: unknown; line: unknown }[] = [];
  const { connect, told } = gated(t, { log: noting(lines) });
  told.mayTell = false;
  const client = await connect();
  client.hello({ export: 'nowhere' });
  await client.refusal();
  const other = await connect();
  other.write(encodeControl(KIND.ping, 1));
  await other.refusal();
  assert.deepEqual(lines, []);
});

// ---- Sessions at once ----------------------------------------------------------------

test('one session too many is refused, until there is room', async (t) => {
  const { connect, server } = gated(t, { sessionsMax: 2 });
  const first = await connect();
  await first.welcome({ readOnly: true });
  await (await connect()).welcome({ readOnly: true });
  const third = await connect();
  third.hello({ readOnly: true });
  const { code, message } = await third.refusal();
  assert.equal(code, 'DST_E_SESSIONS');
  assert.match(message, /2 clients/);
  await (await connect()).welcome({ intent: 'info' });
  first.leave();
  await first.closed;
  await until(() => server.sessions === 1, 'the end of a session');
  await (await connect(third.session)).welcome({ readOnly: true });
});

test('a session that comes back has room, also after the export was started again', async (t) => {
  const { connect } = gated(t, { sessionsMax: 1 });
  const first = await connect();
  await first.welcome({ epoch: 1 });
  await (await connect(first.session)).welcome({ epoch: 2 });
  await (await connect()).welcome({ resuming: true, readOnly: true });
});

test('those that say that they come back are bounded too', async (t) => {
  const { connect, server } = gated(t, { sessionsMax: 2 });
  const max = 2 * SESSIONS_RESUMED_TIMES;
  for (let i = 0; i < max; i++) {
    await (await connect()).welcome({ resuming: true, readOnly: true });
  }
  const another = await connect();
  another.hello({ resuming: true, readOnly: true });
  assert.equal((await another.refusal()).code, 'DST_E_SESSIONS');
  assert.equal(server.sessions, max);
});

test('whoever wrote last comes back whoever else is there', async (t) => {
  const session = randomBytes(SESSION_BYTES);
  const claim = {
    session: session.toString('hex'),
    since: new Date(),
    address: { address: '192.0.2.1', port: 1 },
  };
  const claimStore = { load: () => claim, save: async () => {} };
  const { connect } = gated(t, { sessionsMax: 1, claimStore });
  for (let i = 0; i < SESSIONS_RESUMED_TIMES; i++) {
    await (await connect()).welcome({ resuming: true, readOnly: true });
  }
  await (await connect(session)).welcome({ resuming: true });
});

test('readers that went away make room, and are welcome back', async (t) => {
  const { connect, server } = gated(t, { sessionsMax: 2 });
  const readers = [];
  for (let i = 0; i < 2; i++) {
    const reader = await connect();
    await reader.welcome({ readOnly: true });
    readers.push(reader);
  }
  const [first, second] = readers;
  assert.ok(first && second);
  first.connection.close('away');
  await until(() => server.connections === 1, 'the end of a connection');
  assert.equal(server.sessions, 2, 'kept while there is room');
  await (await connect()).welcome({ readOnly: true });
  assert.equal(server.sessions, 2);
  await (await connect(first.session)).welcome({ epoch: 2, resuming: true, readOnly: true });
});

test('a writer that went away keeps its place', async (t) => {
  const { connect, server } = gated(t, { sessionsMax: 1 });
  const writer = await connect();
  await writer.welcome();
  writer.connection.close('away');
  await until(() => server.connections === 0, 'the end of a connection');
  const reader = await connect();
  reader.hello({ readOnly: true });
  assert.equal((await reader.refusal()).code, 'DST_E_SESSIONS');
});

test('a takeover needs no room of its own, unless there is nobody to take over from', async (t) => {
  const { connect, server } = gated(t, { sessionsMax: 1 });
  const first = await connect();
  await first.welcome();
  const reader = await connect();
  reader.hello({ readOnly: true, takeover: true });
  assert.equal((await reader.refusal()).code, 'DST_E_SESSIONS');
  await (await connect()).welcome({ takeover: true });
  assert.equal(server.sessions, 1);
});

test('the log says who attached, by its certificate, and as what', async (t) => {
  const lines: { details: unknown; line: unknown }[] = [];
  const { connect } = gated(t, { log: noting(lines) });
  await (await connect()).welcome({ readOnly: true });
  const attached = lines.find(({ line }) => line === 'client attached');
  assert.ok(attached);
  const { readOnly, client } = attached.details as { readOnly: boolean; client: unknown };
  assert.deepEqual([readOnly, client], [true, undefined]);
});
