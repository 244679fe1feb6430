import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import type { SessionOptions } from '../../src/client/session-options.js';
import { DstError } from '../../src/errors.js';
import { ExportServer } from '../../src/export/server.js';
import { silentLog } from '../../src/log.js';
import { type MemoryConnection, MemoryNetwork } from '../../src/transport/memory.js';
import type { ChecksumName } from '../../wasm/checksums.js';
import { startCluster } from '../support/cluster.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { NETWORK_TRANSPORTS, skipTransport } from '../support/transports.js';
import { soon, until } from '../support/wait.js';
import { failsWith, MIB, newRemote, pattern, randomFrom, read, write } from './support.js';

const SEED = Number(process.env.SEED ?? 1);

function newServer(network: MemoryNetwork, device = new MemoryDevice(MIB), name = 'vol') {
  const server = new ExportServer({
    stores: [{ name, device }],
    checksums: ['none'],
    log: silentLog,
  });
  server.attach(network.listen());
  return server;
}

function connectTo(
  dial: () => Promise<MemoryConnection>,
  options: Partial<SessionOptions> = {},
): Promise<RemoteDevice> {
  const checksums: ChecksumName[] = ['none'];
  return RemoteDevice.connect({
    dial,
    exportName: 'vol',
    checksums,
    readOnly: false,
    log: silentLog,
    ...options,
  });
}

test('a command in flight when the connection is cut ends on the next one, once', async (t) => {
  const { remote, device, cluster } = await newRemote(t);
  const hold = device.hold(({ name }) => name === 'write', 'after');
  const writing = write(remote, 0, pattern(512, 1));
  await soon(hold.arrived, 'the write');
  cluster.cut();
  await until(() => !remote.session.connected, 'the cut');
  hold.release();
  await soon(writing, 'the write');
  assert.equal(device.commands.length, 1, 'the resent copy was answered from the table');
  assert.equal(remote.session.reconnects, 1);
});

test('a cut after any number of bytes, either way, loses nothing', async (t) => {
  const LIMIT_BYTES = 6000;
  const random = randomFrom(SEED);
  let leftBytes = Number.POSITIVE_INFINITY;
  let cut = () => {};
  const split = (bytes: Buffer): Buffer[] => {
    if (bytes.length < leftBytes) {
      leftBytes -= bytes.length;
      return [bytes];
    }
    const arrived = bytes.subarray(0, leftBytes);
    leftBytes = Number.POSITIVE_INFINITY;
    // What was sent before the cut may arrive; the rest does not.
    setImmediate(() => setImmediate(() => cut()));
    return [arrived];
  };
  const { remote, device, cluster } = await newRemote(t, { network: { split } });
  cut = () => cluster.cut();
  for (let round = 0; round < 100; round++) {
    const bytes = pattern(4096, round);
    // Small numbers cut within headers, large ones within payloads and replies.
    const region = random() < 0.5 ? 200 : LIMIT_BYTES;
    const afterBytes = Math.floor(random() * region);
    leftBytes = afterBytes;
    const where = `seed ${SEED}, round ${round}, cut after ${afterBytes} bytes`;
    await soon(write(remote, 0, bytes), where);
    assert.ok((await read(device, 0, 4096)).equals(bytes), where);
    const back = await soon(read(remote, 0, 4096), where);
    assert.ok(back.equals(bytes), where);
  }
  assert.ok(remote.session.reconnects > 40, `${remote.session.reconnects} reconnects`);
});

test('a device waits for an export that is away, and goes on when it is back', async (t) => {
  const network = new MemoryNetwork();
  const device = new MemoryDevice(MIB);
  const first = newServer(network, device);
  const remote = await connectTo(() => network.dial());
  t.after(() => remote.close());
  await write(remote, 0, pattern(512, 1));
  await first.shutdown(0);
  await until(() => !remote.session.connected, 'the loss');
  const reading = remote.flush();
  const second = newServer(network);
  t.after(() => second.shutdown(0));
  await soon(reading, 'the flush');
  assert.equal(remote.session.connected, true);
});

test('an export that came back without the store ends the device, with its reason', async (t) => {
  const network = new MemoryNetwork();
  const first = newServer(network);
  const remote = await connectTo(() => network.dial());
  t.after(() => remote.close());
  await first.shutdown(0);
  const pending = remote.flush();
  const second = newServer(network, undefined, 'another');
  t.after(() => second.shutdown(0));
  await assert.rejects(soon(pending, 'the refusal'), failsWith('DST_E_EXPORT_UNKNOWN', 'EIO'));
  await assert.rejects(remote.flush(), failsWith('DST_E_EXPORT_UNKNOWN', 'EIO'));
});

test('a first connect that is refused rejects with the export’s words', async (t) => {
  const network = new MemoryNetwork();
  const server = newServer(network, undefined, 'another');
  t.after(() => server.shutdown(0));
  await assert.rejects(
    connectTo(() => network.dial()),
    failsWith('DST_E_EXPORT_UNKNOWN'),
  );
  assert.equal(network.connections.length, 0, 'nothing is left open');
});

test('with no export at all the first connect rejects', async () => {
  const network = new MemoryNetwork();
  await assert.rejects(
    connectTo(() => network.dial()),
    failsWith('DST_E_UNREACHABLE'),
  );
});

test('a command that waits for too long fails with EIO, and what comes after it does not', async (t) => {
  const network = new MemoryNetwork();
  const server = newServer(network);
  t.after(() => server.shutdown(0));
  let away = false;
  const remote = await connectTo(
    async () => {
      if (away) throw new DstError('DST_E_UNREACHABLE', 'nobody is there');
      return network.dial();
    },
    { resendTimeoutMs: 10, maxResends: 2 },
  );
  t.after(() => remote.close());
  away = true;
  network.cut();
  await assert.rejects(soon(remote.flush(), 'the failure'), failsWith('DST_E_RESENDS', 'EIO'));
  away = false;
  await until(() => remote.session.connected, 'the reconnect');
  await soon(remote.flush(), 'the flush');
});

test('a device closed while it redials stays closed, and leaves no connection', async () => {
  const network = new MemoryNetwork();
  const server = newServer(network);
  let dials = 0;
  let late: MemoryConnection | undefined;
  let letGo: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const remote = await connectTo(async () => {
    if (++dials === 1) return network.dial();
    await held;
    late = await network.dial();
    return late;
  });
  network.cut();
  await until(() => dials === 2, 'the redial');
  await remote.close();
  letGo();
  await until(() => late?.closed === true && server.connections === 0, 'the close');
  assert.equal(remote.session.connected, false);
  assert.equal(remote.session.reconnects, 0);
  await server.shutdown(0);
});

test('a connection that dies between WELCOME and its first use is replaced', async (t) => {
  const network = new MemoryNetwork();
  const server = newServer(network);
  t.after(() => server.shutdown(0));
  let dials = 0;
  const remote = await connectTo(async () => {
    const connection = await network.dial();
    if (++dials > 1) return connection;
    const { openStream } = connection;
    connection.openStream = () => {
      const stream = openStream.call(connection);
      const { onData } = stream;
      stream.onData = (handler) =>
        onData.call(stream, (chunk) => {
          handler(chunk);
          // WELCOME has been taken; nobody has started the link yet.
          connection.cut();
        });
      return stream;
    };
    return connection;
  });
  t.after(() => remote.close());
  await soon(remote.flush(), 'the flush');
  assert.equal(dials, 2);
});

for (const transport of NETWORK_TRANSPORTS) {
  const skip = skipTransport(transport);

  test(`a connection that is lost is replaced, with nothing lost (${transport})`, {
    skip,
  }, async (t) => {
    const device = new FaultyDevice(new MemoryDevice(MIB));
    const cluster = await startCluster(transport, device);
    t.after(() => cluster.close());
    const remote = await cluster.connect();
    const hold = device.hold(({ name }) => name === 'write', 'after');
    const writing = write(remote, 0, pattern(4096, 1));
    await soon(hold.arrived, 'the write');
    cluster.cut();
    hold.release();
    await soon(writing, 'the write');
    assert.equal(device.commands.length, 1);
    assert.ok((await read(remote, 0, 4096)).equals(pattern(4096, 1)));
  });
}
