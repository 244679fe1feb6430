import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import type { DialRequest } from '../../src/client/dial.js';
import { exportInfo, listExports } from '../../src/client/queries.js';
import { FIRST_HELLO_TIMEOUT_MS } from '../../src/limits.js';
import { KIND } from '../../src/protocol/kinds.js';
import { startCluster } from '../support/cluster.js';
import { connectionTransport, skipTransport, TRANSPORTS } from '../support/transports.js';
import { comes, ends, VirtualClock } from '../support/virtual-time.js';
import { soon, until } from '../support/wait.js';
import { FakeExport } from './fake-export.js';
import { failsWith, MIB } from './support.js';

for (const transport of TRANSPORTS) {
  const skip = skipTransport(transport);

  test(`list and info say what is offered, and hang up (${transport})`, { skip }, async (t) => {
    const cluster = await startCluster(transport, new MemoryDevice(MIB));
    t.after(() => cluster.close());
    const [offered] = await listExports(cluster.dial);
    assert.equal(offered?.name, 'vol');
    assert.equal(offered.sizeBytes, MIB);
    const info = await exportInfo(cluster.dial, 'vol');
    assert.deepEqual(info.export, offered);
    assert.equal(info.transport, connectionTransport(transport));
    assert.ok(info.roundTripMs > 0 && info.roundTripMs < 30_000);
    await until(() => cluster.server.connections === 0, 'the hang-up');
  });
}

test('info of an unknown export rejects with the names of those that are', async (t) => {
  const cluster = await startCluster('memory', new MemoryDevice(MIB));
  t.after(() => cluster.close());
  await assert.rejects(exportInfo(cluster.dial, 'nope'), failsWith('DST_E_EXPORT_UNKNOWN'));
});

test('info rejects when the connection is lost between WELCOME and the pings', async (t) => {
  let dropped = false;
  const cluster = await startCluster('memory', new MemoryDevice(MIB), {
    network: {
      split: (bytes) => {
        // A ping is the smallest frame there is.
        if (bytes.length > 16 || dropped) return [bytes];
        dropped = true;
        setImmediate(() => cluster.cut());
        return [];
      },
    },
  });
  t.after(() => cluster.close());
  const info = exportInfo(cluster.dial, 'vol');
  await assert.rejects(soon(info, 'the loss'), failsWith('DST_E_CONNECTION_LOST'));
});

test('a HELLO without an answer is said once more, on another connection', async () => {
  const clock = new VirtualClock();
  const fake = new FakeExport(clock);
  const attempts: number[] = [];
  const dial = (request: DialRequest) => {
    attempts.push(request.attempt);
    return fake.network.dial();
  };
  const info = exportInfo(dial, 'vol', undefined, clock);
  info.catch(() => {});
  const said = (number: number) => () => fake.peers[number]?.hello !== undefined;
  await comes(clock, said(1), 'the second HELLO', FIRST_HELLO_TIMEOUT_MS + 100);
  await comes(clock, () => fake.peer(0).closed, 'the end of the first');
  fake.peer(1).refuse({ code: 'DST_E_EXPORT_UNKNOWN', message: 'no' });
  await assert.rejects(ends(clock, info, 'the refusal'), failsWith('DST_E_EXPORT_UNKNOWN'));
  assert.deepEqual(attempts, [0, 1], 'and one that was refused is not');
});

test('info rejects when an export talks on and answers no ping', async () => {
  const clock = new VirtualClock();
  const fake = new FakeExport(clock);
  const info = exportInfo(() => fake.network.dial(), 'vol', undefined, clock);
  info.catch(() => {});
  await comes(clock, () => fake.peers[0]?.hello !== undefined, 'HELLO');
  const peer = fake.peer(0);
  const babble = () => {
    if (peer.closed) return;
    peer.notify({ event: 'going away' });
    clock.after(1_000, babble);
  };
  peer.welcome();
  babble();
  await comes(clock, () => peer.frames.some(({ kind }) => kind === KIND.ping), 'a ping');
  await assert.rejects(ends(clock, info, 'the end'), failsWith('DST_E_TIMEOUT'));
  await comes(clock, () => peer.closed, 'the hang-up');
});
