import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { exportInfo, listExports } from '../../src/client/queries.js';
import { startCluster } from '../support/cluster.js';
import { connectionTransport, skipTransport, TRANSPORTS } from '../support/transports.js';
import { soon, until } from '../support/wait.js';
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
    assert.ok(info.roundTripMs > 0 && info.roundTripMs < 1_000);
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
