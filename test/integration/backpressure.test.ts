/**
 * Where the far end takes nothing, the NBD client is not read on, and what is held on the way
 * stays within its bounds: through bridge, session and export, by what each of them counts.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import {
  CREDIT_BYTES,
  NBD_CLIENT_BYTES_IN_FLIGHT_MAX,
  NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX,
} from '../../src/limits.js';
import { NBD_CMD_READ, NBD_CMD_WRITE } from '../../src/nbd/constants.js';
import { RawClient, requestHeader, startBridge } from '../nbd/support.js';
import { startCluster } from '../support/cluster.js';
import { FaultyDevice, type Hold, type SeenCommand } from '../support/faulty-device.js';
import { StuckConnection } from '../support/stuck-connection.js';

const MIB = 1 << 20;
const SIZE_BYTES = 64 * MIB;

/** What an NBD client would write, or read, if nothing held it back. */
const WANTED_BYTES = 1024 * MIB;

/** Headers of frames, beside the payload that is counted. */
const HEADERS_BYTES = MIB;

/** Turns of the event loop, of which each lets whoever can go on do so. */
const STILL_TURNS = 200;
const PATIENCE_MS = 10_000;

/** An NBD client of a bridge, of a session, of an export of a device in memory. */
async function startChain(t: TestContext) {
  const disk = new FaultyDevice(new MemoryDevice(SIZE_BYTES));
  const cluster = await startCluster('memory', disk, { checksums: ['none'] });
  const holds: Hold[] = [];
  t.after(async () => {
    for (const hold of holds) hold.release();
    await cluster.close();
  });
  const connections: StuckConnection[] = [];
  const device = await cluster.connect({
    checksums: ['none'],
    dial: async (request) => {
      const connection = new StuckConnection(await cluster.dial(request));
      connections.push(connection);
      return connection;
    },
  });
  const { bridge, path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  const [connection] = connections;
  assert.ok(connection !== undefined);
  const hold = (name: SeenCommand['name']) => {
    const made = disk.hold((command) => command.name === name);
    holds.push(made);
    return made;
  };
  return { disk, hold, device, bridge, client, connection };
}

type Chain = Awaited<ReturnType<typeof startChain>>;

const CHUNK = Buffer.alloc(MIB, 7);

/** Writes 1 MiB after the other as far as the socket takes it; returns how many it took. */
function pushWrites({ client }: Chain): () => number {
  let sent = 0;
  const push = () => {
    while (sent < WANTED_BYTES / MIB && client.socket.writableLength === 0) {
      const offset = (sent++ * MIB) % SIZE_BYTES;
      client.send(requestHeader(NBD_CMD_WRITE, { offset, lengthBytes: MIB, cookie: sent }), CHUNK);
    }
  };
  client.socket.on('drain', push);
  push();
  return () => sent;
}

/** Until nothing has moved for many turns of the event loop, which all of the chain shares. */
async function isPushedBack({ bridge, client, disk }: Chain): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  let before = '';
  for (let turns = 0; turns < STILL_TURNS; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    const { inFlight, inFlightBytes, commands } = bridge.stats;
    assert.ok(inFlightBytes <= NBD_CLIENT_BYTES_IN_FLIGHT_MAX, `${inFlightBytes} bytes in flight`);
    assert.ok(inFlight <= NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX, `${inFlight} commands in flight`);
    const { bytesWritten, writableLength } = client.socket;
    const takenBytes = bytesWritten - writableLength;
    const now = [inFlight, inFlightBytes, commands, takenBytes, disk.commands.length].join();
    assert.ok(performance.now() < deadlineMs, 'it does not come to rest');
    if (now !== before) turns = 0;
    before = now;
  }
}

/** All that was sent is answered, and nothing is held any more. */
async function endsWell({ bridge, client }: Chain, sent: number): Promise<void> {
  for (let count = 0; count < sent; count++) {
    assert.equal((await client.takeSimpleReply()).error, 0);
  }
  assert.deepEqual([bridge.stats.inFlight, bridge.stats.inFlightBytes], [0, 0]);
}

/** Lets the session learn that it may send as much as its credit. */
async function openWindow({ device }: Chain): Promise<void> {
  const payload = { pieces: [CHUNK], lengthBytes: MIB, release() {} };
  for (let round = 0; round < 2; round++) {
    const writes = Array.from({ length: 32 }, (_, at) => device.write(at * MIB, payload, {}));
    await Promise.all(writes);
  }
  await device.flush();
}

test('a disk that ends no write pushes back to the NBD client', async (t) => {
  const chain = await startChain(t);
  const { disk } = chain;
  await openWindow(chain);
  const before = disk.commands.length;
  const hold = chain.hold('write');
  const sent = pushWrites(chain);
  await isPushedBack(chain);
  const held = disk.commands.slice(before).reduce((sum, each) => sum + each.lengthBytes, 0);
  assert.ok(held > CREDIT_BYTES / 2, `the window is open: ${held} bytes`);
  assert.ok(held <= CREDIT_BYTES, `the export holds ${held} bytes`);
  const acceptedBytes = sent() * MIB;
  assert.ok(acceptedBytes <= NBD_CLIENT_BYTES_IN_FLIGHT_MAX + 4 * MIB, `${acceptedBytes} bytes`);
  chain.client.socket.removeAllListeners('drain');
  hold.release();
  await endsWell(chain, sent());
});

test('a disk that is slow is written to no faster than it writes', async (t) => {
  const chain = await startChain(t);
  const { bridge } = chain;
  const sent = pushWrites(chain);
  for (let turn = 0; turn < 5; turn++) {
    const hold = chain.hold('write');
    await hold.arrived;
    await isPushedBack(chain);
    const answered = bridge.stats.commands - bridge.stats.inFlight;
    const waitingBytes = (sent() - answered) * MIB;
    assert.ok(waitingBytes <= NBD_CLIENT_BYTES_IN_FLIGHT_MAX + 4 * MIB, `${waitingBytes} wait`);
    hold.release();
  }
  chain.client.socket.removeAllListeners('drain');
  await endsWell(chain, sent());
});

test('an export that takes nothing pushes back to the NBD client', async (t) => {
  const chain = await startChain(t);
  const { connection, device } = chain;
  await openWindow(chain);
  connection.stuck = true;
  const sent = pushWrites(chain);
  await isPushedBack(chain);
  const { queuedBytes } = connection;
  assert.ok(queuedBytes > CREDIT_BYTES / 2, `the window is open: ${queuedBytes} bytes`);
  assert.ok(queuedBytes <= CREDIT_BYTES + HEADERS_BYTES, `${queuedBytes} bytes in the transport`);
  const acceptedBytes = sent() * MIB;
  assert.ok(acceptedBytes <= NBD_CLIENT_BYTES_IN_FLIGHT_MAX + 4 * MIB, `${acceptedBytes} bytes`);
  chain.client.socket.removeAllListeners('drain');
  // The session finds another way, and all goes on.
  connection.close('the test is over');
  await endsWell(chain, sent());
  assert.equal(device.session.reconnects, 1);
});

test('an NBD client that reads no replies has no more read for it', async (t) => {
  const chain = await startChain(t);
  const { bridge, client, disk } = chain;
  client.socket.pause();
  const total = WANTED_BYTES / MIB;
  for (let cookie = 1; cookie <= total; cookie++) {
    client.send(requestHeader(NBD_CMD_READ, { lengthBytes: MIB, cookie }));
  }
  await isPushedBack(chain);
  const read = disk.commands.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  // What the kernel holds of the replies has left the bridge.
  const mostBytes = NBD_CLIENT_BYTES_IN_FLIGHT_MAX + 4 * MIB;
  assert.ok(read <= mostBytes, `${read} bytes were read from the disk`);
  assert.ok(bridge.stats.commands <= mostBytes / MIB, `${bridge.stats.commands} commands`);
});
