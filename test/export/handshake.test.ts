import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CREDIT_BYTES,
  CREDIT_TRANSACTIONS,
  HELLO_BODY_BYTES_MAX,
  HELLO_TIMEOUT_MS,
  REFUSAL_LINGER_MS,
} from '../../src/limits.js';
import { encodeControl, encodeRequest } from '../../src/protocol/encode.js';
import { NO_CHECKSUM, NO_PIECES } from '../../src/protocol/frame.js';
import { KIND } from '../../src/protocol/kinds.js';
import { writeOf } from '../support/raw-client.js';
import { soon, until } from '../support/wait.js';
import { newExport, SIZE_BYTES } from './support.js';

test('WELCOME says what the export is and what it allows', async (t) => {
  const { connect, device } = newExport(t);
  const client = await connect();
  const welcome = await client.welcome({ epoch: 7, checksums: ['sha256', 'crc32c'] });
  assert.equal(welcome.epoch, 7);
  assert.ok(welcome.session.equals(client.session));
  assert.equal(welcome.checksum, 'crc32c', 'the export’s order decides');
  assert.equal(welcome.export?.name, 'vol');
  assert.equal(welcome.export.sizeBytes, SIZE_BYTES);
  assert.equal(welcome.export.readOnly, false);
  assert.deepEqual(welcome.exports, []);
  assert.equal(welcome.credit.transactions, CREDIT_TRANSACTIONS);
  assert.equal(welcome.credit.bytes, CREDIT_BYTES);
  assert.ok(welcome.verifier.equals(device.verifier));
});

test('a list names the exports, and opens no session', async (t) => {
  const { connect, server } = newExport(t);
  const welcome = await (await connect()).welcome({ intent: 'list', export: '' });
  assert.deepEqual(
    welcome.exports.map(({ name, readOnly }) => [name, readOnly]),
    [
      ['vol', false],
      ['other', true],
    ],
  );
  assert.equal(welcome.export, undefined);
  assert.equal(server.sessions, 0);
});

test('info describes one export, and opens no session', async (t) => {
  const { connect, server } = newExport(t);
  const welcome = await (await connect()).welcome({ intent: 'info' });
  assert.equal(welcome.export?.name, 'vol');
  assert.equal(server.sessions, 0);
});

test('a client that only asked is closed when it opens a request stream', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  await client.welcome({ intent: 'info' });
  client.open().send({ kind: KIND.flush });
  assert.equal((await client.dismissal()).code, 'DST_E_PROTOCOL');
  await client.closed;
});

test('a client that wants to read only is told so', async (t) => {
  const { connect } = newExport(t);
  const welcome = await (await connect()).welcome({ readOnly: true });
  assert.equal(welcome.export?.readOnly, true);
});

test('another version is refused, and told both', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  client.hello({ version: 9 });
  const { code, message } = await client.refusal();
  assert.equal(code, 'DST_E_VERSION');
  assert.match(message, /version 1 and the client 9/);
  await client.closed;
});

test('an unknown export is refused, with the names of those that are', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  client.hello({ export: 'vool' });
  const { code, message } = await client.refusal();
  assert.equal(code, 'DST_E_EXPORT_UNKNOWN');
  assert.match(message, /"vool".*"vol", "other"/);
});

test('a long name of an unknown export does not crowd out the names of those that are', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  client.hello({ export: 'x'.repeat(4_000) });
  const { message } = await client.refusal();
  assert.match(message, /"x{255}".*"vol", "other"/);
});

test('no checksum in common is refused', async (t) => {
  const { connect } = newExport(t, { checksums: ['blake3'] });
  const client = await connect();
  client.hello({ checksums: ['none', 'md5'] });
  assert.equal((await client.refusal()).code, 'DST_E_CHECKSUM_NONE');
});

test('a session that belongs to one export cannot move to another', async (t) => {
  const { connect } = newExport(t);
  const first = await connect();
  await first.welcome();
  const second = await connect(first.session);
  second.hello({ epoch: 2, export: 'other' });
  assert.equal((await second.refusal()).code, 'DST_E_SESSION');
  assert.equal((await first.open().run({ kind: KIND.flush })).errno, 0);
});

test('a HELLO with an old epoch is refused and leaves the newer connection alone', async (t) => {
  const { connect } = newExport(t);
  const newer = await connect();
  await newer.welcome({ epoch: 5 });
  const older = await connect(newer.session);
  older.hello({ epoch: 4 });
  assert.equal((await older.refusal()).code, 'DST_E_EPOCH');
  await older.closed;
  const reply = await newer.open().run(writeOf(1, 0, Buffer.from('still here')));
  assert.equal(reply.errno, 0);
});

test('a newer connection ends the older one, which is told why', async (t) => {
  const { connect, server } = newExport(t);
  const older = await connect();
  await older.welcome({ epoch: 1 });
  const newer = await connect(older.session);
  await newer.welcome({ epoch: 2 });
  assert.equal((await older.dismissal()).code, 'DST_E_FENCED');
  await older.closed;
  assert.equal(server.sessions, 1);
});

test('WELCOME waits until the older connection’s write has ended', async (t) => {
  const { connect, device } = newExport(t);
  const older = await connect();
  await older.welcome({ epoch: 1 });
  const hold = device.hold(({ name }) => name === 'write');
  const stream = older.open();
  stream.send(writeOf(1, 0, Buffer.from('old')));
  await soon(hold.arrived, 'the write');
  const newer = await connect(older.session);
  let welcomed = false;
  const welcome = newer.welcome({ epoch: 2 }).then(() => {
    welcomed = true;
  });
  await older.dismissal();
  // Time enough for a WELCOME that does not wait.
  for (let turns = 0; turns < 10; turns++) await new Promise(setImmediate);
  assert.equal(welcomed, false);
  hold.release();
  await welcome;
  const reply = await newer.open().run(writeOf(1, 0, Buffer.from('old')));
  assert.equal(reply.errno, 0);
  assert.equal(device.commands.length, 1, 'the resent write was answered from the table');
});

test('a stranger that says nothing is closed after a while', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server } = newExport(t);
  const client = await connect();
  await until(() => server.connections === 1, 'the connection');
  t.mock.timers.tick(HELLO_TIMEOUT_MS - 1);
  assert.equal(server.connections, 1);
  t.mock.timers.tick(1);
  assert.match((await client.closed).message, /no HELLO/);
  assert.equal(server.connections, 0);
});

test('a HELLO that trickles does not get more time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect } = newExport(t);
  const client = await connect();
  client.write(Buffer.from([20]));
  await new Promise(setImmediate);
  t.mock.timers.tick(HELLO_TIMEOUT_MS / 2);
  client.write(Buffer.from([0x94]));
  await new Promise(setImmediate);
  t.mock.timers.tick(HELLO_TIMEOUT_MS / 2);
  assert.match((await client.closed).message, /no HELLO/);
});

test('a refused client that does not hang up is closed after a while', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server } = newExport(t);
  const client = await connect();
  client.hello({ version: 9 });
  await client.refusal({ stay: true });
  t.mock.timers.tick(REFUSAL_LINGER_MS);
  await client.closed;
  assert.equal(server.connections, 0);
});

const garbage: [what: string, bytes: Buffer][] = [
  ['random bytes', Buffer.from('ff00ff00ff00', 'hex')],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'.repeat(10))],
  ['a PING before HELLO', encodeControl(KIND.ping, 1)],
  ['a HELLO that is no map', Buffer.from('0494010001c40100', 'hex')],
  ['a HELLO of nothing', encodeControl(KIND.hello, 0, {})],
  [
    'a HELLO that is too long',
    encodeControl(KIND.hello, 0, { agent: 'x'.repeat(HELLO_BODY_BYTES_MAX) }),
  ],
  [
    'a request',
    Buffer.concat(
      encodeRequest({
        kind: KIND.flush,
        transaction: 1,
        flags: 0,
        retired: 1,
        offset: 0,
        lengthBytes: 0,
        checksum: NO_CHECKSUM,
        payload: NO_PIECES,
      }),
    ),
  ],
];

for (const [what, bytes] of garbage) {
  test(`${what} first ends that connection, and no other`, async (t) => {
    const { connect } = newExport(t);
    const good = await connect();
    await good.welcome();
    const bad = await connect();
    bad.write(bytes);
    assert.equal((await bad.refusal()).code, 'DST_E_PROTOCOL');
    await bad.closed;
    assert.equal((await good.open().run({ kind: KIND.flush })).errno, 0);
  });
}

test('a stream before WELCOME ends the connection', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  client.write(Buffer.from([20]));
  client.open().send({ kind: KIND.flush });
  assert.equal((await client.refusal()).code, 'DST_E_PROTOCOL');
  await client.closed;
});

test('a second HELLO ends the connection', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  await client.welcome();
  client.hello({ epoch: 2 });
  assert.equal((await client.dismissal()).code, 'DST_E_PROTOCOL');
});

test('a PING is answered with its number', async (t) => {
  const { connect } = newExport(t);
  const client = await connect();
  await client.welcome();
  client.write(encodeControl(KIND.ping, 77));
  const pong = await client.frame();
  assert.deepEqual([pong.kind, pong.sequence], [KIND.pong, 77]);
});
