import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { DstError } from '../../src/errors.js';
import { NBD_CLIENTS_MAX, NBD_SKIPPED_PAYLOAD_BYTES_MAX } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { Bridge } from '../../src/nbd/bridge.js';
import {
  NBD_CMD_DISC,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
} from '../../src/nbd/constants.js';
import { skipWithout } from '../support/tools.js';
import { until } from '../support/wait.js';
import { RawClient, requestHeader, runTool, ScriptedDevice, startBridge } from './support.js';

test('a write is read back, without structured replies', async (t) => {
  const { path, bridge } = await startBridge(t, new MemoryDevice(1 << 20));
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_WRITE, { offset: 512, lengthBytes: 5, cookie: 7 }));
  client.send(Buffer.from('hello'));
  assert.deepEqual(await client.takeSimpleReply(), { error: 0, cookie: 7 });
  client.send(requestHeader(NBD_CMD_READ, { offset: 511, lengthBytes: 7, cookie: 8 }));
  assert.deepEqual(await client.takeSimpleReply(), { error: 0, cookie: 8 });
  assert.equal((await client.take(7)).toString('latin1'), '\0hello\0');
  await until(() => bridge.stats.inFlight === 0, 'nothing in flight');
  assert.deepEqual(bridge.stats, { clients: 1, inFlight: 0, inFlightBytes: 0, commands: 2 });
});

test('flags travel to the device', async (t) => {
  const device = new ScriptedDevice({ answersAtOnce: true });
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  const range = { offset: 4096, lengthBytes: 3 };
  const zeroFlags = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO;
  client.send(
    requestHeader(NBD_CMD_WRITE, { ...range, flags: NBD_CMD_FLAG_FUA }),
    Buffer.from('abc'),
    requestHeader(NBD_CMD_WRITE, range),
    Buffer.from('abc'),
    requestHeader(NBD_CMD_TRIM, { ...range, flags: NBD_CMD_FLAG_FUA }),
    requestHeader(NBD_CMD_WRITE_ZEROES, { ...range, flags: zeroFlags }),
    requestHeader(NBD_CMD_WRITE_ZEROES, range),
    requestHeader(NBD_CMD_FLUSH),
  );
  for (let count = 0; count < 6; count++) await client.takeSimpleReply();
  assert.deepEqual(device.calls, [
    { command: 'write', ...range, flags: { fua: true } },
    { command: 'write', ...range, flags: {} },
    { command: 'trim', ...range, flags: { fua: true } },
    { command: 'write zeroes', ...range, flags: { fua: true, noHole: true, fastZero: true } },
    { command: 'write zeroes', ...range, flags: { noHole: false, fastZero: false } },
    { command: 'flush', offset: 0, lengthBytes: 0, flags: {} },
  ]);
});

// Both commands wait on the device; the second is answered first.
test('replies come in the order in which commands end', async (t) => {
  const device = new ScriptedDevice();
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_FLUSH, { cookie: 1 }));
  client.send(requestHeader(NBD_CMD_FLUSH, { cookie: 2 }));
  await until(() => device.waiting.length === 2, 'both are in flight');
  device.waiting[1]?.resolve();
  assert.equal((await client.takeSimpleReply()).cookie, 2);
  device.waiting[0]?.resolve();
  assert.equal((await client.takeSimpleReply()).cookie, 1);
});

test("a device's error becomes its errno, and its sentence with structured replies", async (t) => {
  const device = new ScriptedDevice();
  const { path } = await startBridge(t, device);
  for (const structured of [false, true]) {
    const client = await RawClient.ready(t, path, { structured });
    client.send(requestHeader(NBD_CMD_READ, { lengthBytes: 512, cookie: 3 }));
    await until(() => device.waiting.length === 1, 'it is in flight');
    const error = new DstError('DST_E_TEST', 'the disk is full', { errno: 'ENOSPC' });
    device.waiting.pop()?.reject(error);
    if (structured) {
      const chunk = await client.take(20 + 6 + error.message.length);
      assert.equal(chunk.readUInt32BE(20), 28);
      assert.equal(chunk.toString('utf8', 26), error.message);
    } else {
      assert.deepEqual(await client.takeSimpleReply(), { error: 28, cookie: 3 });
    }
  }
});

test('an error without an errno is EIO', async (t) => {
  const device = new ScriptedDevice();
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_FLUSH));
  await until(() => device.waiting.length === 1, 'it is in flight');
  device.waiting[0]?.reject(new Error('a surprise'));
  assert.equal((await client.takeSimpleReply()).error, 5);
});

test('a read of the wrong length from the device is EIO, not a broken stream', async (t) => {
  const device = new ScriptedDevice({ answersAtOnce: true });
  device.excessBytes = 1;
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_READ, { lengthBytes: 512 }));
  assert.equal((await client.takeSimpleReply()).error, 5);
  assert.equal(device.unreleased, 0);
});

test('a block status that the device answers with nothing is EIO', {
  skip: skipWithout('nbdinfo'),
}, async (t) => {
  const { bridge } = await startBridge(t, new ScriptedDevice({ answersAtOnce: true }));
  await assert.rejects(runTool('nbdinfo', '--map', bridge.uri), /block.status/);
});

test("a refused write's data is skipped, and the connection lives on", async (t) => {
  const device = new ScriptedDevice({ answersAtOnce: true, sizeBytes: 4096 });
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_WRITE, { lengthBytes: 8192, cookie: 1 }));
  client.send(Buffer.alloc(8192, 0x25));
  client.send(requestHeader(NBD_CMD_FLUSH, { cookie: 2 }));
  assert.deepEqual(await client.takeSimpleReply(), { error: 28, cookie: 1 });
  assert.deepEqual(await client.takeSimpleReply(), { error: 0, cookie: 2 });
  assert.deepEqual(
    device.calls.map(({ command }) => command),
    ['flush'],
  );
});

test('a write too long to skip ends the connection', async (t) => {
  const { path } = await startBridge(t, new ScriptedDevice({ sizeBytes: 2 ** 40 }));
  const client = await RawClient.ready(t, path);
  const lengthBytes = NBD_SKIPPED_PAYLOAD_BYTES_MAX + 512;
  client.send(requestHeader(NBD_CMD_WRITE, { lengthBytes }));
  await client.closed();
});

test('the end of a request stream without the magic ends the connection', async (t) => {
  const { path, bridge } = await startBridge(t, new ScriptedDevice());
  const client = await RawClient.ready(t, path);
  client.send(Buffer.alloc(28, 'x'));
  await client.closed();
  await until(() => bridge.stats.clients === 0, 'it is gone');
});

// The client disconnects politely with a command in flight: it is answered first.
test('DISC closes once all commands are answered', async (t) => {
  const device = new ScriptedDevice();
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_FLUSH, { cookie: 9 }), requestHeader(NBD_CMD_DISC));
  client.send(requestHeader(NBD_CMD_FLUSH));
  await until(() => device.waiting.length === 1, 'it is in flight');
  device.open();
  assert.deepEqual(await client.takeSimpleReply(), { error: 0, cookie: 9 });
  await client.closed();
  assert.equal(device.calls.length, 1);
});

test('a client that has ended its half still gets its answers', async (t) => {
  const device = new ScriptedDevice();
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.socket.end(requestHeader(NBD_CMD_FLUSH, { cookie: 9 }));
  await until(() => device.waiting.length === 1, 'it is in flight');
  device.open();
  assert.deepEqual(await client.takeSimpleReply(), { error: 0, cookie: 9 });
  await client.closed();
});

test('clients see the geometry that the device had when they came', async (t) => {
  const device = new ScriptedDevice({ answersAtOnce: true, sizeBytes: 4096 });
  const { path } = await startBridge(t, device);
  const early = await RawClient.ready(t, path);
  Object.assign(device.geometry, { sizeBytes: 8192 });
  const late = await RawClient.ready(t, path);
  for (const [client, error] of [
    [early, 22],
    [late, 0],
  ] as const) {
    client.send(requestHeader(NBD_CMD_TRIM, { offset: 4096, lengthBytes: 4096 }));
    assert.equal((await client.takeSimpleReply()).error, error);
  }
});

test('loopback TCP works, and its address has the port', async (t) => {
  for (const host of ['127.0.0.1', '::1']) {
    const bridge = await Bridge.listen({
      exportName: 'a disk/1',
      device: new MemoryDevice(4096),
      listen: { host, port: 0 },
      log: silentLog,
    });
    t.after(() => bridge.close(0));
    assert.match(bridge.uri, /^nbd:\/\/(127\.0\.0\.1|\[::1\]):\d+\/a%20disk%2F1$/);
  }
});

test('other addresses than loopback are refused', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.com']) {
    await assert.rejects(
      Bridge.listen({
        exportName: 'disk',
        device: new MemoryDevice(4096),
        listen: { host, port: 0 },
        log: silentLog,
      }),
      { code: 'DST_E_BRIDGE_ADDRESS' },
    );
  }
});

test('a port that is taken is named', async (t) => {
  const options = { exportName: 'disk', device: new MemoryDevice(4096), log: silentLog };
  const bridge = await Bridge.listen({ ...options, listen: { host: '127.0.0.1', port: 0 } });
  t.after(() => bridge.close(0));
  const port = Number(new URL(bridge.uri).port);
  await assert.rejects(Bridge.listen({ ...options, listen: { host: '127.0.0.1', port } }), {
    code: 'DST_E_BRIDGE_ADDRESS',
  });
});

test('there is a bound on clients, and a place that is given up is free again', async (t) => {
  const { path, bridge } = await startBridge(t, new ScriptedDevice());
  const clients: RawClient[] = [];
  for (let count = 0; count < NBD_CLIENTS_MAX; count++) {
    clients.push(await RawClient.connect(t, path));
  }
  await assert.rejects(RawClient.connect(t, path), /hung up/);
  clients[0]?.socket.destroy();
  await until(() => bridge.stats.clients < NBD_CLIENTS_MAX, 'one has gone');
  await RawClient.ready(t, path);
});

test('a client that does not end its handshake is dropped at the deadline', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { path, bridge } = await startBridge(t, new ScriptedDevice());
  const socket = createConnection(path);
  t.after(() => socket.destroy());
  const closed = new Promise((resolve) => socket.on('close', resolve));
  await new Promise((resolve) => socket.once('data', resolve));
  t.mock.timers.tick(9_999);
  assert.equal(bridge.stats.clients, 1);
  t.mock.timers.tick(1);
  socket.resume();
  await closed;
});

// close() -> the command in flight ends -> its reply -> the end of the connection.
test('close lets commands in flight end, and takes no more', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_FLUSH, { cookie: 4 }));
  await until(() => device.waiting.length === 1, 'it is in flight');
  const closed = bridge.close(60_000);
  client.send(requestHeader(NBD_CMD_FLUSH, { cookie: 5 }));
  await assert.rejects(RawClient.connect(t, path));
  device.open();
  assert.deepEqual(await client.takeSimpleReply(), { error: 0, cookie: 4 });
  await client.closed();
  await closed;
  assert.equal(device.calls.length, 1);
  assert.equal(existsSync(path), false);
});

test('close gives up on commands that outlast the grace', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_READ, { lengthBytes: 512 }));
  await until(() => device.waiting.length === 1, 'it is in flight');
  await bridge.close(1);
  await client.closed();
  device.open();
  await until(() => bridge.stats.inFlight === 0, 'it ended');
  assert.equal(device.unreleased, 0);
});

test('close again waits for the first, and ends clients in their handshake', async (t) => {
  const { path, bridge } = await startBridge(t, new ScriptedDevice());
  const client = await RawClient.connect(t, path);
  await Promise.all([bridge.close(60_000), bridge.close(0), client.closed()]);
});

test('a closed bridge leaves no timers and no handles', async (t) => {
  const before = process.getActiveResourcesInfo().sort();
  const { path, bridge } = await startBridge(t, new ScriptedDevice());
  await RawClient.connect(t, path);
  await RawClient.ready(t, path);
  await bridge.close(60_000);
  await until(() => process.getActiveResourcesInfo().length <= before.length, 'all are gone');
});
