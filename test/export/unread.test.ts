/** Peers that send, and read nothing of what they are sent. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CREDIT_BYTES, CREDIT_TRANSACTIONS, FRAME_PAYLOAD_BYTES_MAX } from '../../src/limits.js';
import { encodeControl } from '../../src/protocol/encode.js';
import { KIND } from '../../src/protocol/kinds.js';
import type { Connection, Listener, Stream } from '../../src/transport/transport.js';
import { RawClient, type RawStream } from '../support/raw-client.js';
import { StuckConnection } from '../support/stuck-connection.js';
import { until } from '../support/wait.js';
import { newExport } from './support.js';

const PINGS = 200_000;

/** An export, and a client of it, welcomed, that reads nothing from then on. */
async function newUnread(t: TestContext) {
  const { server, network } = newExport(t);
  let unread: StuckConnection | undefined;
  const inner = network.listen();
  const listener: Listener = {
    address: inner.address,
    transport: inner.transport,
    close: () => inner.close(),
    onConnection: (handler) =>
      inner.onConnection((connection) => {
        unread = new StuckConnection(connection);
        handler(unread);
      }),
  };
  server.attach(listener);
  const client = new RawClient(await network.dial());
  await client.welcome();
  assert.ok(unread !== undefined);
  unread.stuck = true;
  return { client, unread, server };
}

/** Sends more reads than the credit allows, and reads no answer; what the export then holds. */
async function readOn(unread: StuckConnection, streams: RawStream[]) {
  for (let transaction = 1; transaction <= 2 * CREDIT_TRANSACTIONS; transaction++) {
    const stream = streams[transaction % streams.length];
    stream?.send({ transaction, retired: transaction, lengthBytes: FRAME_PAYLOAD_BYTES_MAX });
    // Each is answered, or refused, before the next.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return unread.queuedBytes;
}

for (const count of [1, 64]) {
  test(`answers that nobody reads are no more than the credit (${count} streams)`, async (t) => {
    const { client, unread } = await newUnread(t);
    const streams = Array.from({ length: count }, () => client.open());
    const heldBytes = await readOn(unread, streams);
    assert.ok(heldBytes > 0);
    assert.ok(heldBytes < CREDIT_BYTES + 2 * FRAME_PAYLOAD_BYTES_MAX, `${heldBytes} bytes held`);
    client.connection.close('done');
  });
}

test('a client that sends PINGs and reads no PONG is hung up on', async (t) => {
  const { client, unread } = await newUnread(t);
  const pings = Buffer.concat(
    Array.from({ length: 1000 }, (_, sequence) => encodeControl(KIND.ping, sequence)),
  );
  for (let sent = 0; sent < PINGS && unread.closed === undefined; sent += 1000) {
    client.write(pings);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => unread.closed !== undefined, 'the export to hang up');
  assert.match(unread.closed?.message ?? '', /does not read/);
});

test('what comes on a second stream before WELCOME is dropped, not kept', (t) => {
  const { server } = newExport(t);
  let onStream: (stream: Stream) => void = () => {};
  let onConnection: (connection: Connection) => void = () => {};
  let hangUp = () => {};
  server.attach({
    address: { address: 'test', port: 1 },
    transport: 'memory',
    onConnection: (handler) => {
      onConnection = handler;
    },
    close: async () => {},
  });
  onConnection({
    transport: 'memory',
    peer: { address: 'test', port: 2 },
    openStream: () => assert.fail('an export opens no streams'),
    onStream: (handler) => {
      onStream = handler;
    },
    onClose: (handler) => {
      hangUp = () => handler({ message: 'the test is over' });
    },
    close() {},
    keepAlive() {},
  });
  const handled: number[] = [];
  for (const id of [0, 1, 2]) {
    onStream({ id, queuedBytes: 0, write() {}, onData: () => handled.push(id) });
  }
  assert.deepEqual(handled, [0, 1, 2]);
  hangUp();
});
