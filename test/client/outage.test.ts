import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { DstError } from '../../src/errors.js';
import { SESSION_LEASE_MS } from '../../src/limits.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { SessionWorld } from './session-world.js';
import { failsWith, MIB, pattern, read, write } from './support.js';

const BYTES = pattern(512, 1);

test('through an outage of any length commands wait, and flow within 1.5 s of its end', async () => {
  for (const outageMs of [1_000, 20_000, 50_000]) {
    const world = new SessionWorld();
    const remote = await world.connect({ maxResends: Number.POSITIVE_INFINITY });
    world.dials = 'hang';
    world.network.cut();
    const writing = write(remote, 0, BYTES);
    await world.pass(outageMs);
    world.dials = 'succeed';
    await world.ends(writing, 'the write', 1_500);
  }
});

test('an outage is two lines in the log, and one for each reason why it lasts', async () => {
  const world = new SessionWorld();
  const remote = await world.connect({ maxResends: Number.POSITIVE_INFINITY });
  world.dials = 'fail';
  world.network.cut();
  const writing = write(remote, 0, BYTES);
  await world.pass(20_000);
  world.dials = 'are refused';
  await world.pass(20_000);
  world.dials = 'succeed';
  await world.ends(writing, 'the write');
  assert.deepEqual(
    world.lines.map(({ level, text }) => `${level}: ${text}`),
    [
      'warn: connection to the export lost, I/O waits: the connection was lost: the connection was cut',
      'warn: cannot connect again yet, still trying: nobody is there',
      'warn: cannot connect again yet, still trying: nobody listens',
      'info: connected to the export again',
    ],
  );
});

test('an outage longer than allowed ends the session with EIO', async () => {
  const world = new SessionWorld();
  const remote = await world.connect({ maxOutageMs: 10_000 });
  world.dials = 'fail';
  world.network.cut();
  const pending = remote.flush();
  pending.catch(() => {});
  await world.pass(9_990);
  assert.equal(remote.session.unfinished, 1);
  await assert.rejects(world.ends(pending, 'the end', 20), failsWith('DST_E_OUTAGE', 'EIO'));
  assert.equal((await remote.session.refused).code, 'DST_E_OUTAGE');
  await assert.rejects(remote.flush(), failsWith('DST_E_OUTAGE', 'EIO'));
  const dialled = world.requests.length;
  await world.pass(60_000);
  assert.equal(world.requests.length, dialled, 'nothing is dialled any more');
});

test('outages that are short enough do not add up', async () => {
  const world = new SessionWorld();
  const remote = await world.connect({ maxOutageMs: 10_000 });
  for (let outage = 0; outage < 3; outage++) {
    world.dials = 'fail';
    world.network.cut();
    await world.pass(8_000);
    world.dials = 'succeed';
    await world.ends(remote.flush(), 'a flush');
  }
});

test('connections that die right after WELCOME are not redialled at full speed', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  await world.ends(remote.flush(), 'a flush');
  let made = 1;
  world.network.cut();
  for (let steps = 0; steps < 30; steps++) {
    await world.pass(100);
    if (world.connections.length === made) continue;
    made = world.connections.length;
    world.network.cut();
  }
  assert.ok(made < 15, `${made} connections in 3 s`);
  await world.ends(remote.flush(), 'a flush');
});

test('closing during a dial ends at once, and leaves nothing open', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  world.dials = 'hang';
  world.network.cut();
  const pending = remote.flush();
  const rejected = assert.rejects(pending, failsWith('DST_E_CLOSED', 'ESHUTDOWN'));
  await world.pass(100);
  await remote.close();
  await rejected;
  assert.ok(world.requests.every(({ signal }, at) => at === 0 || signal.aborted));
  await world.pass(10);
  assert.equal(world.network.connections.length, 0);
});

test('a session that is taken over ends with EIO, and says so', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  const hold = world.device.hold(({ name }) => name === 'write');
  const writing = write(remote, 0, BYTES);
  const rejected = assert.rejects(writing, failsWith('DST_E_TAKEN_OVER', 'EIO'));
  await world.ends(hold.arrived, 'the write');
  const taking = world.connecting({ takeover: true });
  await world.ends(rejected, 'the end', 100);
  hold.release();
  const other = await world.ends(taking, 'the takeover', 100);
  assert.equal((await remote.session.refused).code, 'DST_E_TAKEN_OVER');
  await assert.rejects(write(remote, 0, BYTES), failsWith('DST_E_TAKEN_OVER', 'EIO'));
  await world.ends(write(other, 0, BYTES), 'a write of the other');
});

test('a second writer is refused until the first has closed', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  await assert.rejects(world.connect(), failsWith('DST_E_BUSY'));
  await world.ends(remote.close(), 'the farewell');
  assert.ok(world.clock.nowMs() < SESSION_LEASE_MS);
  await world.connect();
});

// ---- Exports that come back otherwise --------------------------------------------------

test('an export whose machine was restarted gets what was acked and not flushed', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  await world.ends(write(remote, 0, pattern(512, 1)), 'a write');
  await world.ends(write(remote, 0, pattern(512, 2)), 'a write over it');
  await world.ends(remote.trim(4096, 512, {}), 'a trim');
  world.reboot();
  const reading = read(remote, 0, 512);
  assert.ok((await world.ends(reading, 'a read')).equals(pattern(512, 2)));
  assert.equal(remote.session.counters.replayed, 3);
  assert.deepEqual(
    world.device.commands.map(({ name }) => name),
    ['write', 'write', 'trim', 'read'],
  );
  assert.equal(world.said(/machine was restarted: replaying/).length, 1);
});

test('an export that is only another process gets nothing twice', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  await world.ends(write(remote, 0, BYTES), 'a write');
  world.restart();
  await world.ends(remote.flush(), 'a flush');
  assert.deepEqual(
    world.device.commands.map(({ name }) => name),
    ['write', 'flush'],
  );
  assert.equal(remote.session.unflushedBytes, 0);
});

test('without a replay buffer the loss is logged as an error, and I/O goes on', async () => {
  const world = new SessionWorld();
  const remote = await world.connect({ replayBufferBytes: 0 });
  await world.ends(write(remote, 0, BYTES), 'a write');
  world.reboot();
  assert.ok((await world.ends(read(remote, 0, 512), 'a read')).equals(Buffer.alloc(512)));
  const [line] = world.said(/may be lost, as none are kept here/);
  assert.equal(line?.level, 'error');
});

test('a full replay buffer makes the session flush by itself', async () => {
  const world = new SessionWorld();
  const remote = await world.connect({ replayBufferBytes: 64 * 1024 });
  for (let block = 0; block < 64; block++) {
    await world.ends(write(remote, block * 4096, pattern(4096, block)), 'a write');
  }
  assert.ok(world.device.commands.some(({ name }) => name === 'flush'));
  assert.ok(remote.session.unflushedBytes <= 64 * 1024);
});

test('a resize is seen by its notice, logged, and told', async () => {
  const told: number[] = [];
  const world = new SessionWorld();
  let sizeBytes = MIB;
  const device = new FaultyDevice(new MemoryDevice(4 * MIB));
  Object.defineProperty(device, 'geometry', {
    get: () => ({ sizeBytes, minimumBlockBytes: 1, preferredBlockBytes: 4096 }),
  });
  device.reread = async () => {
    sizeBytes = 2 * MIB;
  };
  world.restart(device);
  const remote = await world.connect({ onResized: (bytes) => told.push(bytes) });
  assert.equal(remote.geometry.sizeBytes, MIB);
  await world.server.reread();
  await world.comes(() => remote.geometry.sizeBytes === 2 * MIB, 'the new size', 100);
  assert.equal(world.said(/was resized$/).length, 1);
  assert.deepEqual(told, [2 * MIB]);
});

test('a resize during an outage is seen by the next WELCOME', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  world.restart(new FaultyDevice(new MemoryDevice(2 * MIB), { verifier: world.device.verifier }));
  await world.ends(remote.flush(), 'a flush');
  assert.equal(remote.geometry.sizeBytes, 2 * MIB);
});

test('what the device refuses of a replay is told by the next flush', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  await world.ends(write(remote, 0, BYTES), 'a write');
  world.reboot();
  world.device.failWhen(({ name }) =>
    name === 'write' ? new DstError('DST_E_TEST', 'full', { errno: 'ENOSPC' }) : undefined,
  );
  await assert.rejects(
    world.ends(remote.flush(), 'the flush'),
    failsWith('DST_E_FLUSH_LOST', 'EIO'),
  );
  await world.ends(remote.flush(), 'the next flush');
});

test('connections of no use, one after the other, are one outage', async () => {
  const world = new SessionWorld();
  const remote = await world.connect({ maxOutageMs: 10_000 });
  const pending = remote.flush();
  pending.catch(() => {});
  for (let steps = 0; steps < 20_000 && remote.session.unfinished > 0; steps++) {
    if (remote.session.connected) world.network.cut();
    await world.pass(1);
  }
  const made = world.connections.length;
  assert.ok(made > 3, `${made} connections`);
  await assert.rejects(pending, failsWith('DST_E_OUTAGE', 'EIO'));
});
