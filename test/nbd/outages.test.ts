/** What NBD clients see of an export that is away, that comes back, and that never will. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { DstError } from '../../src/errors.js';
import { NBD_CLIENTS_MAX } from '../../src/limits.js';
import {
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_INFO_EXPORT,
  NBD_OPT_INFO,
  NBD_REP_ACK,
  NBD_REP_INFO,
} from '../../src/nbd/constants.js';
import { until } from '../support/wait.js';
import {
  clientFlags,
  goData,
  option,
  RawClient,
  requestHeader,
  ScriptedDevice,
  startBridge,
} from './support.js';

const HOUR_MS = 60 * 60 * 1000;
const ENDED = new DstError('DST_E_TAKEN_OVER', 'another client writes now', { errno: 'EIO' });

/** A client with a command that the device does not answer. */
async function waitingClient(t: TestContext, path: string, device: ScriptedDevice) {
  const client = await RawClient.ready(t, path);
  const before = device.waiting.length;
  client.send(requestHeader(NBD_CMD_READ, { lengthBytes: 512, cookie: 1 }));
  await until(() => device.waiting.length > before, 'its command waits');
  return client;
}

test('a client whose commands wait for hours is not dropped', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const client = await RawClient.ready(t, path);
  client.send(requestHeader(NBD_CMD_FLUSH, { cookie: 7 }));
  while (device.waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(5 * HOUR_MS);
  assert.equal(bridge.stats.clients, 1);
  device.open();
  assert.deepEqual(await client.takeSimpleReply(), { error: 0, cookie: 7 });
});

test('INFO and GO are answered from what is known while commands wait', async (t) => {
  const device = new ScriptedDevice();
  const { path } = await startBridge(t, device);
  await waitingClient(t, path, device);
  const late = await RawClient.connect(t, path);
  late.send(clientFlags(3), option(NBD_OPT_INFO, goData('disk')));
  const info = await late.takeOptionReply();
  assert.equal(info.type, NBD_REP_INFO);
  assert.equal(info.data.readUInt16BE(0), NBD_INFO_EXPORT);
  while ((await late.takeOptionReply()).type !== NBD_REP_ACK);
  await RawClient.ready(t, path);
});

test('clients that were killed while their commands wait make room for new ones', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const first = await waitingClient(t, path, device);
  for (let count = 1; count < NBD_CLIENTS_MAX; count++) {
    (await waitingClient(t, path, device)).socket.destroy();
  }
  await until(() => bridge.stats.clients === NBD_CLIENTS_MAX, 'the bridge is full');
  const second = await waitingClient(t, path, device);
  device.open();
  for (const client of [first, second]) assert.equal((await client.takeSimpleReply()).error, 0);
});

// retire() -> no new clients; commands still fail with EIO -> the last client goes -> resolved.
test('a bridge that retires keeps its clients, and takes no new ones', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const client = await waitingClient(t, path, device);
  const negotiating = await RawClient.connect(t, path);
  let retired = false;
  const retiring = bridge.retire().then(() => {
    retired = true;
  });
  await negotiating.closed();
  await until(() => !existsSync(path), 'the socket file is gone');
  await assert.rejects(RawClient.connect(t, path));
  device.waiting.pop()?.reject(ENDED);
  assert.deepEqual(await client.takeSimpleReply(), { error: 5, cookie: 1 });
  client.send(requestHeader(NBD_CMD_FLUSH, { cookie: 2 }));
  await until(() => device.waiting.length === 1, 'a later command is still taken');
  device.waiting.pop()?.reject(ENDED);
  assert.deepEqual(await client.takeSimpleReply(), { error: 5, cookie: 2 });
  assert.equal(retired, false);
  client.socket.destroy();
  await retiring;
});

test('a bridge without clients retires at once', async (t) => {
  const { bridge } = await startBridge(t, new ScriptedDevice());
  await bridge.retire();
  assert.equal(bridge.stats.clients, 0);
});

test('another bridge may serve where one retires, which leaves its socket alone', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const client = await waitingClient(t, path, device);
  const retiring = bridge.retire();
  await until(() => !existsSync(path), 'the socket file is gone');
  const second = await startBridge(t, new ScriptedDevice(), { listen: { path } });
  client.socket.destroy();
  device.open();
  await retiring;
  await RawClient.ready(t, path);
  assert.equal(second.bridge.stats.clients, 1);
});

test('close ends the clients of a bridge that retires', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const client = await waitingClient(t, path, device);
  const retiring = bridge.retire();
  await Promise.all([bridge.close(0), retiring, client.closed()]);
  device.open();
});
