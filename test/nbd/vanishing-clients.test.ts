import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { NBD_CMD_FLUSH, NBD_CMD_READ, NBD_CMD_WRITE, NBD_OPT_GO } from '../../src/nbd/constants.js';
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

const ROUNDS = 30;

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

test('clients that vanish in the handshake leave nothing behind', async (t) => {
  const { path, bridge } = await startBridge(t, new ScriptedDevice());
  const script = Buffer.concat([clientFlags(3), option(NBD_OPT_GO, goData('disk'))]);
  const before = openFiles();
  for (let round = 0; round < ROUNDS; round++) {
    const client = await RawClient.connect(t, path);
    client.socket.write(script.subarray(0, (round * script.length) / ROUNDS), () =>
      client.socket.destroy(),
    );
    await client.closed();
  }
  await until(() => bridge.stats.clients === 0, 'all have gone');
  assert.equal(openFiles(), before);
});

test('a write that did not arrive whole never reaches the device', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  for (let round = 0; round < ROUNDS; round++) {
    const client = await RawClient.ready(t, path);
    client.send(requestHeader(NBD_CMD_WRITE, { lengthBytes: 100_000 }));
    client.socket.end(Buffer.alloc(round * 3_000));
    await client.closed();
  }
  await until(() => bridge.stats.clients === 0, 'all have gone');
  assert.equal(bridge.stats.inFlight, 0);
  assert.equal(bridge.stats.inFlightBytes, 0);
  assert.deepEqual(device.calls, []);
});

// Each client goes while the device still works; then the device answers all at once.
test('commands whose client has vanished end silently and give their buffers back', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const before = openFiles();
  for (let round = 1; round <= ROUNDS; round++) {
    const client = await RawClient.ready(t, path, { structured: round % 2 === 0 });
    client.send(
      requestHeader(NBD_CMD_READ, { lengthBytes: 65_536 }),
      requestHeader(NBD_CMD_FLUSH),
      requestHeader(NBD_CMD_WRITE, { lengthBytes: 512 }),
      Buffer.alloc(512),
    );
    await until(() => device.waiting.length === 3 * round, 'all three are in flight');
    client.socket.destroy();
  }
  assert.equal(bridge.stats.inFlight, 3 * ROUNDS);
  device.open();
  await until(() => bridge.stats.clients === 0, 'all have gone');
  assert.deepEqual(
    { ...bridge.stats, unreleased: device.unreleased },
    { clients: 0, inFlight: 0, inFlightBytes: 0, commands: 3 * ROUNDS, unreleased: 0 },
  );
  assert.equal(openFiles(), before);
});

test('a client that vanishes with unread replies gives their buffers back', async (t) => {
  const device = new ScriptedDevice({ answersAtOnce: true });
  const { path, bridge } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.socket.pause();
  for (let count = 0; count < 4; count++) {
    client.send(requestHeader(NBD_CMD_READ, { lengthBytes: 4 << 20 }));
  }
  await until(() => device.calls.length === 4, 'all are read');
  assert(device.unreleased > 0);
  client.socket.destroy();
  await until(() => bridge.stats.clients === 0, 'it has gone');
  assert.equal(device.unreleased, 0);
  assert.equal(bridge.stats.inFlightBytes, 0);
});
