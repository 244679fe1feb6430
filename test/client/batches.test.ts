/** How many streams and writes it takes to send what is submitted in one turn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { payloadOf } from '../../src/block/payload.js';
import type { RemoteDevice } from '../../src/client/remote-device.js';
import { BATCH_ROUND_TRIP_MS_MAX } from '../../src/limits.js';
import type { Connection } from '../../src/transport/transport.js';
import { SessionWorld } from './session-world.js';

const BLOCK_BYTES = 4096;
const COMMANDS = 8;

/** Counts what a client opens and writes, but for its control stream. */
function counted(connection: Connection, counts: { streams: number; writes: number }): void {
  const open = connection.openStream.bind(connection);
  let control = true;
  connection.openStream = () => {
    const stream = open();
    if (control) {
      control = false;
      return stream;
    }
    counts.streams++;
    const write = stream.write.bind(stream);
    stream.write = (pieces, taken) => {
      counts.writes++;
      write(pieces, taken);
    };
    return stream;
  };
}

async function connected(delayMs: number) {
  const world = new SessionWorld({ delayMs: () => delayMs });
  const counts = { streams: 0, writes: 0 };
  const remote = await world.connect({
    dial: async (request) => {
      const connection = await world.dial(request);
      counted(connection, counts);
      return connection;
    },
  });
  return { world, remote, counts };
}

function writeAll(remote: RemoteDevice): Promise<unknown> {
  const writes = Array.from({ length: COMMANDS }, (_, at) =>
    remote.write(at * BLOCK_BYTES, payloadOf([Buffer.alloc(BLOCK_BYTES, at)]), {}),
  );
  return Promise.all(writes);
}

test('small commands of one turn go out by one write, on one stream', async () => {
  const { world, remote, counts } = await connected(BATCH_ROUND_TRIP_MS_MAX / 2);
  await world.ends(writeAll(remote), 'the writes');
  assert.deepEqual(counts, { streams: 1, writes: 1 });
});

test('on a long path each has a stream of its own', async () => {
  const { world, remote, counts } = await connected(BATCH_ROUND_TRIP_MS_MAX);
  await world.ends(writeAll(remote), 'the writes');
  assert.deepEqual(counts, { streams: COMMANDS, writes: COMMANDS });
});
