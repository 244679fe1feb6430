import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  NBD_BRIDGE_BYTES_IN_FLIGHT_MAX,
  NBD_CLIENT_BYTES_IN_FLIGHT_MAX,
  NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX,
  NBD_EXTENTS_MAX,
  NBD_STATUS_REPLY_BYTES_MAX,
} from '../../src/limits.js';
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_WRITE,
} from '../../src/nbd/constants.js';
import { InFlight } from '../../src/nbd/in-flight.js';
import { until } from '../support/wait.js';
import { RawClient, requestHeader, ScriptedDevice, startBridge } from './support.js';

const MIB = 1 << 20;

test('who finds no room is woken by the next to leave', () => {
  const inFlight = new InFlight(2, 100);
  inFlight.enter(60);
  assert.equal(inFlight.hasRoom(41), false);
  assert.equal(inFlight.hasRoom(40), true);
  let woken = 0;
  inFlight.wait(() => {
    woken += 1;
  });
  inFlight.leave(60);
  inFlight.enter(1);
  inFlight.leave(1);
  assert.equal(woken, 1);
});

test('the number of commands is bounded as well', () => {
  const inFlight = new InFlight(2, 100);
  inFlight.enter(0);
  inFlight.enter(0);
  assert.equal(inFlight.hasRoom(0), false);
});

test('a command that is alone has room, however large: it would wait for ever', () => {
  const inFlight = new InFlight(2, 100);
  assert.equal(inFlight.hasRoom(101), true);
  inFlight.enter(101);
  assert.equal(inFlight.hasRoom(0), false);
});

// The device takes writes and never ends them: at the bound the client is not read on.
test('write data in flight is bounded, and what waits goes on afterwards', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  const fit = NBD_CLIENT_BYTES_IN_FLIGHT_MAX / MIB;
  const total = fit + 20;
  const data = Buffer.alloc(MIB);
  for (let cookie = 1; cookie <= total; cookie++) {
    client.send(requestHeader(NBD_CMD_WRITE, { lengthBytes: MIB, cookie }), data);
  }
  await until(() => device.calls.length === fit, 'the bound is reached');
  assert.equal(bridge.stats.inFlightBytes, NBD_CLIENT_BYTES_IN_FLIGHT_MAX);
  // A second client shows that the bridge has had its turns and still reads no more.
  const other = await RawClient.ready(t, path);
  other.send(requestHeader(NBD_CMD_FLUSH));
  await until(() => device.calls.length === fit + 1, 'the other is served');
  assert.equal(bridge.stats.inFlight, fit + 1);
  assert(client.socket.writableLength > 0);
  device.open();
  for (let count = 0; count < total; count++) await client.takeSimpleReply();
  assert.equal(bridge.stats.inFlight, 0);
});

test('the number of commands in flight is bounded', async (t) => {
  const device = new ScriptedDevice();
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  const total = NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX + 500;
  for (let cookie = 1; cookie <= total; cookie++) {
    client.send(requestHeader(NBD_CMD_FLUSH, { cookie }));
  }
  await until(() => device.calls.length >= NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX, 'the bound');
  assert.equal(device.calls.length, NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX);
  device.open();
  for (let count = 0; count < total; count++) await client.takeSimpleReply();
});

test('all clients together are bounded, and none is forgotten', async (t) => {
  const device = new ScriptedDevice();
  const { path, bridge } = await startBridge(t, device);
  const readBytes = 4 * MIB;
  const fit = NBD_BRIDGE_BYTES_IN_FLIGHT_MAX / readBytes;
  const each = NBD_CLIENT_BYTES_IN_FLIGHT_MAX / readBytes;
  const clients: RawClient[] = [];
  for (let count = 0; count < fit / each + 2; count++) {
    const client = await RawClient.ready(t, path);
    clients.push(client);
    for (let read = 0; read < each; read++) {
      client.send(requestHeader(NBD_CMD_READ, { lengthBytes: readBytes }));
    }
  }
  await until(() => device.calls.length === fit, 'the bound is reached');
  assert.equal(bridge.stats.inFlightBytes, NBD_BRIDGE_BYTES_IN_FLIGHT_MAX);
  for (const client of clients.splice(0, fit / each)) client.socket.destroy();
  device.open();
  for (const client of clients) {
    for (let read = 0; read < each; read++) {
      assert.equal((await client.takeSimpleReply()).error, 0);
      await client.skip(readBytes);
    }
  }
  assert.equal(device.unreleased, 0);
});

// Thousands of such requests fit one chunk of the socket, and their replies are a thousand times
// as large.
test('a client that leaves block statuses unread has no more of them made', async (t) => {
  const device = new ScriptedDevice({ answersAtOnce: true });
  device.extents = Array.from({ length: NBD_EXTENTS_MAX }, (_, at) => ({
    lengthBytes: 512,
    hole: at % 2 === 0,
    zero: at % 2 === 0,
  }));
  const { path, bridge } = await startBridge(t, device);
  const client = await RawClient.ready(t, path, { structured: true, status: true });
  client.socket.pause();
  const header = requestHeader(NBD_CMD_BLOCK_STATUS, { lengthBytes: NBD_EXTENTS_MAX * 512 });
  client.send(Buffer.concat(Array.from({ length: 2000 }, () => header)));
  const fit = NBD_CLIENT_BYTES_IN_FLIGHT_MAX / NBD_STATUS_REPLY_BYTES_MAX;
  await until(() => device.calls.length >= fit, 'the bound is reached');
  const other = await RawClient.ready(t, path);
  other.send(requestHeader(NBD_CMD_FLUSH));
  await other.takeSimpleReply();
  assert(bridge.stats.inFlightBytes <= NBD_CLIENT_BYTES_IN_FLIGHT_MAX);
  // Beside what the kernel has taken of the replies.
  assert(device.calls.length < fit + 100, `${device.calls.length} were made`);
});

// The client asks and asks, and reads nothing.
test('a client that leaves its replies unread is not read on', async (t) => {
  const device = new ScriptedDevice({ answersAtOnce: true });
  const { path, bridge } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  client.socket.pause();
  const total = 200;
  for (let cookie = 1; cookie <= total; cookie++) {
    client.send(requestHeader(NBD_CMD_READ, { lengthBytes: MIB, cookie }));
  }
  await until(() => bridge.stats.inFlightBytes > 2 * MIB, 'replies pile up');
  const other = await RawClient.ready(t, path);
  other.send(requestHeader(NBD_CMD_FLUSH));
  await other.takeSimpleReply();
  assert(bridge.stats.inFlightBytes <= NBD_CLIENT_BYTES_IN_FLIGHT_MAX);
  assert(device.calls.length < total);
  client.socket.resume();
  for (let cookie = 1; cookie <= total; cookie++) {
    assert.equal((await client.takeSimpleReply()).cookie, cookie);
    await client.skip(MIB);
  }
  await until(() => device.unreleased === 0, 'all buffers are back');
});
