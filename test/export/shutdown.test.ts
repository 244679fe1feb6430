import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { systemError } from '../../src/block/system-error.js';
import { DstError } from '../../src/errors.js';
import { ExportServer } from '../../src/export/server.js';
import { SHUTDOWN_FLUSH_TIMEOUT_MS } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { KIND } from '../../src/protocol/kinds.js';
import { errnoValue } from '../../src/protocol/messages.js';
import { callsWith, newFileDevice } from '../block/helpers.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { writeOf } from '../support/raw-client.js';
import { soon } from '../support/wait.js';
import { newExport, SIZE_BYTES } from './support.js';

test('what is in flight completes and is answered; what comes later is left unanswered', async (t) => {
  const { connect, server, device } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'write');
  const early = client.open();
  early.send(writeOf(1, 0, Buffer.from('early')));
  await soon(hold.arrived, 'the write');
  const shutdown = server.shutdown(10_000);
  const late = client.open();
  late.send(writeOf(2, 0, Buffer.from('late')));
  await new Promise(setImmediate);
  hold.release();
  assert.equal((await early.reply()).errno, 0);
  assert.equal((await client.dismissal()).code, 'DST_E_GOING_AWAY');
  client.connection.close('as asked');
  await soon(shutdown, 'the shutdown');
  assert.equal(late.replies, 0);
  assert.deepEqual(
    device.commands.map(({ name }) => name),
    ['write', 'flush'],
  );
  assert.equal(device.closed, true);
  assert.equal(server.connections, 0);
  assert.equal(server.sessions, 0);
});

test('who comes while it ends is refused', async (t) => {
  const { connect, server, device } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'write');
  client.open().send(writeOf(1, 0, Buffer.from('x')));
  await soon(hold.arrived, 'the write');
  const shutdown = server.shutdown(10_000);
  const late = await connect();
  late.hello();
  assert.equal((await late.refusal()).code, 'DST_E_GOING_AWAY');
  client.connection.close('gone');
  hold.release();
  await soon(shutdown, 'the shutdown');
});

test('a command that does not end in time is not waited for', async (t) => {
  const { connect, server, device } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'write');
  client.open().send(writeOf(1, 0, Buffer.from('x')));
  await soon(hold.arrived, 'the write');
  await soon(server.shutdown(10), 'the shutdown');
  hold.release();
});

test('a client that does not hang up is closed all the same', async (t) => {
  const { connect, server } = newExport(t);
  const client = await connect();
  await client.welcome();
  await soon(server.shutdown(1_000), 'the shutdown');
  await client.closed;
});

test('a flush that fails is told, and the other stores are flushed and closed all the same', async () => {
  const bad = new FaultyDevice(new MemoryDevice(SIZE_BYTES));
  const good = new FaultyDevice(new MemoryDevice(SIZE_BYTES));
  bad.failWhen(() => new DstError('DST_E_IO', 'the disk is gone', { errno: 'EIO' }));
  const server = new ExportServer({
    stores: [
      { name: 'bad', device: bad },
      { name: 'good', device: good },
    ],
    checksums: ['none'],
    log: silentLog,
  });
  await assert.rejects(server.shutdown(1_000), /the disk is gone/);
  assert.equal(bad.closed, true);
  assert.equal(good.closed, true);
  assert.deepEqual(
    good.commands.map(({ name }) => name),
    ['flush'],
  );
});

test('clients of a store whose last flush failed are told that acked writes may be lost', async (t) => {
  const { connect, server, device } = newExport(t);
  device.failWhen(({ name }) =>
    name === 'flush' ? new DstError('DST_E_IO', 'the disk is gone', { errno: 'EIO' }) : undefined,
  );
  const loser = await connect();
  await loser.welcome();
  assert.equal((await loser.open().run(writeOf(1, 0, Buffer.from('x')))).errno, 0);
  const other = await connect();
  await other.welcome({ export: 'other' });
  const ended = assert.rejects(server.shutdown(1_000), /the disk is gone/);
  assert.equal((await loser.dismissal()).code, 'DST_E_FLUSH_LOST');
  assert.equal((await other.dismissal()).code, 'DST_E_GOING_AWAY');
  for (const client of [loser, other]) client.connection.close('as asked');
  await soon(ended, 'the shutdown');
});

test('so are those of a store that had failed a flush before', async (t) => {
  let failures = 0;
  const calls = await callsWith(({ fdatasync }) => ({
    fdatasync: (fd, callback) => {
      if (failures++ === 0) callback(systemError('fdatasync', constants.errno.EIO));
      else fdatasync(fd, callback);
    },
  }));
  const { device: inner } = await newFileDevice(t, { calls });
  const { connect, server } = newExport(t, { inner });
  const client = await connect();
  await client.welcome();
  assert.equal((await client.open().run({ kind: KIND.flush })).errno, errnoValue('EIO'));
  const ended = assert.rejects(server.shutdown(1_000), { code: 'DST_E_FLUSH_LOST' });
  assert.equal((await client.dismissal()).code, 'DST_E_FLUSH_LOST');
  client.connection.close('as asked');
  await soon(ended, 'the shutdown');
});

test('nobody is dismissed before the last flush has ended', async (t) => {
  const { connect, server, device } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'flush');
  const shutdown = server.shutdown(1_000);
  await soon(hold.arrived, 'the flush');
  let dismissed = false;
  const dismissal = client.dismissal().then(({ code }) => {
    dismissed = true;
    return code;
  });
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  assert.equal(dismissed, false);
  hold.release();
  assert.equal(await dismissal, 'DST_E_GOING_AWAY');
  client.connection.close('as asked');
  await soon(shutdown, 'the shutdown');
});

for (const stuck of ['flush', 'close'] as const) {
  test(`a ${stuck} that hangs is given up after a while, with an error that names the store`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const device = new MemoryDevice(SIZE_BYTES);
    device[stuck] = () => new Promise(() => {});
    const server = new ExportServer({
      stores: [{ name: 'vol', device }],
      checksums: ['none'],
      log: silentLog,
    });
    const failure = server.shutdown(0).then(
      () => undefined,
      (error: unknown) => error,
    );
    let ended = false;
    void failure.then(() => {
      ended = true;
    });
    while (!ended) {
      await new Promise(setImmediate);
      t.mock.timers.tick(SHUTDOWN_FLUSH_TIMEOUT_MS);
    }
    const error = await failure;
    assert.ok(error instanceof DstError);
    assert.equal(error.code, 'DST_E_SHUTDOWN_TIMEOUT');
    assert.match(error.message, /"vol".*60 s.*memory of/);
  });
}
