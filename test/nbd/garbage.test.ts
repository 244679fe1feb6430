import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { NBD_CMD_READ } from '../../src/nbd/constants.js';
import { until } from '../support/wait.js';
import { clientFlags, RawClient, requestHeader, startBridge } from './support.js';

const SEED = 20240607;
const CLIENTS = 60;

/** Reproducible bytes (mulberry32). */
function randomSource(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Garbage is sent at the start, behind good client flags and in the transmission phase.
test(`clients that send garbage do not disturb the others (seed ${SEED})`, async (t) => {
  const random = randomSource(SEED);
  const device = new MemoryDevice(1 << 20);
  await device.write(0, { pieces: [Buffer.from('kept')], lengthBytes: 4, release: () => {} });
  const { path, bridge } = await startBridge(t, device);
  const honest = await RawClient.ready(t, path);
  for (let count = 0; count < CLIENTS; count++) {
    const client =
      count % 3 === 2 ? await RawClient.ready(t, path) : await RawClient.connect(t, path);
    if (count % 3 === 1) client.send(clientFlags(3));
    const lengthBytes = Math.floor(random() * 5000) + 28;
    client.send(Buffer.from(Array.from({ length: lengthBytes }, () => random() * 256)));
    await client.closed();
  }
  honest.send(requestHeader(NBD_CMD_READ, { lengthBytes: 4 }));
  assert.equal((await honest.takeSimpleReply()).error, 0);
  assert.equal((await honest.take(4)).toString(), 'kept');
  await until(() => bridge.stats.clients === 1, 'only the honest one is left');
});
