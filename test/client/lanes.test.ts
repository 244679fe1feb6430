/** A session over several lanes, to a real export, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { payloadOf } from '../../src/block/payload.js';
import type { RemoteDevice } from '../../src/client/remote-device.js';
import type { SessionOptions } from '../../src/client/session-options.js';
import { DstError } from '../../src/errors.js';
import {
  LANE_RETRY_DELAY_MIN_MS,
  LANES_AUTO_LONG_PATH,
  LANES_LONG_PATH_ROUND_TRIP_MS,
} from '../../src/limits.js';
import type { MemoryNetworkOptions } from '../../src/transport/memory.js';
import { SessionWorld } from './session-world.js';
import { failsWith, pattern, read, write } from './support.js';

const WRITE_BYTES = 64 * 1024;
const WRITES = 6;

/** A session that has all lanes that it wants. */
async function withLanes(
  lanes: number,
  options: Partial<SessionOptions> = {},
  network: MemoryNetworkOptions = {},
) {
  const world = new SessionWorld(network);
  const remote = await world.connect({ lanes, ...options });
  await world.comes(() => remote.session.lanes.open === lanes, `${lanes} lanes`);
  return { world, remote };
}

function writeAll(remote: RemoteDevice): Promise<unknown> {
  return Promise.all(
    Array.from({ length: WRITES }, (_, at) =>
      remote.write(at * WRITE_BYTES, payloadOf([pattern(WRITE_BYTES, at)]), {}),
    ),
  );
}

test('further lanes are dialled like lane 0, one after the other, and join its epoch', async () => {
  const { world, remote } = await withLanes(3);
  assert.equal(world.connections.length, 3);
  const [first] = world.connections;
  assert.deepEqual(
    world.requests.map(({ like }) => like),
    [undefined, first, first],
  );
  assert.equal(remote.session.reconnects, 0);
});

test('what is in flight is spread over the lanes evenly', async () => {
  const { world, remote } = await withLanes(3);
  const streams = world.connections.map((connection) => {
    const slots: unknown[] = [];
    const open = connection.openStream.bind(connection);
    connection.openStream = () => {
      slots.push(1);
      return open();
    };
    return slots;
  });
  await world.ends(writeAll(remote), 'the writes');
  assert.deepEqual(
    streams.map((slots) => slots.length),
    [2, 2, 2],
  );
});

test('a lane that ends takes all others with it, and nothing is lost', async () => {
  const { world, remote } = await withLanes(3);
  const [first, second] = world.connections;
  const writing = writeAll(remote);
  second?.close('the network is gone');
  await world.ends(writing, 'the writes');
  assert.equal(first?.closed, true);
  assert.equal(remote.session.reconnects, 1);
  const whole = await world.ends(read(remote, WRITE_BYTES, WRITE_BYTES), 'a look');
  assert.ok(whole.equals(pattern(WRITE_BYTES, 1)));
  await world.comes(() => remote.session.lanes.open === 3, 'the lanes');
});

test('a lane that falls silent has another connection dialled beside all of them', async () => {
  const { world, remote } = await withLanes(2);
  world.connections[1]?.shut();
  await world.comes(() => remote.session.reconnects === 1, 'another connection');
  assert.equal(world.connections[0]?.closed, true);
});

test('fewer lanes: one ends once nothing is in flight on it, and no link is lost', async () => {
  const { world, remote } = await withLanes(2);
  const [, second] = world.connections;
  const hold = world.device.hold(({ name }) => name === 'write');
  const writing = writeAll(remote);
  await world.ends(hold.arrived, 'a write');
  remote.session.chooseLanes(1);
  assert.deepEqual(remote.session.lanes, { open: 1, wanted: 1 });
  await world.pass(100);
  assert.equal(second?.closed, false);
  hold.release();
  await world.ends(writing, 'the writes');
  assert.equal(second?.closed, true);
  assert.equal(remote.session.reconnects, 0);
});

test('more lanes: they are made while the session works', async () => {
  const { world, remote } = await withLanes(1);
  remote.session.chooseLanes(4);
  await world.ends(writeAll(remote), 'the writes');
  await world.comes(() => remote.session.lanes.open === 4, 'the lanes');
  assert.equal(remote.session.reconnects, 0);
});

test('the export allows fewer, and then more: the session follows', async () => {
  const { world, remote } = await withLanes(4);
  world.server.limitLanes(2);
  await world.comes(() => remote.session.lanes.open === 2, 'fewer lanes');
  assert.equal(remote.session.lanes.wanted, 2);
  world.server.limitLanes(16);
  await world.comes(() => remote.session.lanes.open === 4, 'the lanes');
  assert.equal(remote.session.reconnects, 0);
});

test('a lane that cannot be dialled is no failure: it is tried again, and told once', async () => {
  const world = new SessionWorld();
  let fails = true;
  const remote = await world.connect({
    lanes: 2,
    dial: (request) => {
      const further = request.like !== undefined;
      if (further && fails) return Promise.reject(new DstError('DST_E_UNREACHABLE', 'no answer'));
      return world.dial(request);
    },
  });
  await world.pass(10 * LANE_RETRY_DELAY_MIN_MS);
  await world.ends(writeAll(remote), 'the writes');
  assert.deepEqual(remote.session.lanes, { open: 1, wanted: 2 });
  assert.equal(world.said(/a further lane cannot be made/).length, 1);
  fails = false;
  await world.comes(() => remote.session.lanes.open === 2, 'the lane');
});

test('after a link that soon ended, further lanes wait a while', async () => {
  const { world, remote } = await withLanes(2);
  world.connections[1]?.close('the network is gone');
  await world.comes(() => remote.session.reconnects === 1, 'another link');
  await world.pass(LANE_RETRY_DELAY_MIN_MS / 2 - 10);
  assert.equal(remote.session.lanes.open, 1);
  await world.comes(() => remote.session.lanes.open === 2, 'the lane', LANE_RETRY_DELAY_MIN_MS);
});

test('auto: several on a long path', async () => {
  const delayMs = () => LANES_LONG_PATH_ROUND_TRIP_MS / 2;
  const world = new SessionWorld({ delayMs });
  const remote = await world.connect({ lanes: 'auto' });
  const { lanes } = remote.session;
  assert.equal(lanes.open, 1);
  await world.comes(() => remote.session.lanes.open === LANES_AUTO_LONG_PATH, 'the lanes');
});

test('the end of a session ends all its lanes, and it is over at the export', async () => {
  const { world, remote } = await withLanes(3);
  await world.ends(remote.close(), 'the end');
  assert.ok(world.connections.every(({ closed }) => closed));
  assert.equal(world.server.sessions, 0);
  await assert.rejects(write(remote, 0, pattern(512, 1)), failsWith('DST_E_CLOSED', 'ESHUTDOWN'));
});

test('at the end the export ends every lane: both ends at once is too much for HTTP/2', async () => {
  const world = new SessionWorld();
  const ended = new Set<unknown>();
  let early = 0;
  const dial = async (request: Parameters<typeof world.dial>[0]) => {
    const connection = await world.dial(request);
    connection.onClose(() => ended.add(connection));
    const close = connection.close.bind(connection);
    connection.close = (reason) => {
      if (!ended.has(connection)) early++;
      close(reason);
    };
    return connection;
  };
  const remote = await world.connect({ lanes: 3, dial });
  await world.comes(() => remote.session.lanes.open === 3, '3 lanes');
  await world.ends(remote.close(), 'the end');
  assert.equal(ended.size, 3);
  assert.equal(early, 0);
});
