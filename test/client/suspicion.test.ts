import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CONNECT_TIMEOUT_MS,
  PING_INTERVAL_MS,
  PINGS_UNANSWERED_MAX,
  RESEND_TIMEOUT_MS,
  SUSPECT_AFTER_MIN_MS,
  TRANSACTION_SPLIT_BYTES,
  WELCOME_PATIENCE_MS,
} from '../../src/limits.js';
import { SessionWorld } from './session-world.js';
import { failsWith, pattern, read, write } from './support.js';

const BYTES = pattern(512, 1);

/** A session whose connection falls silent with a write on it, at the time that is returned. */
async function stalled() {
  const world = new SessionWorld();
  const remote = await world.connect();
  await world.ends(write(remote, 0, pattern(512, 9)), 'a first write');
  const [old] = world.connections;
  assert.ok(old);
  old.shut();
  const writing = write(remote, 0, BYTES);
  return { world, remote, old, writing, sinceMs: world.clock.nowMs() };
}

test('a late answer: a second connection is dialled, and its WELCOME moves everything', async () => {
  const { world, remote, old, writing, sinceMs } = await stalled();
  await world.pass(SUSPECT_AFTER_MIN_MS - 1);
  assert.equal(world.requests.length, 1);
  await world.ends(writing, 'the write', 100);
  assert.ok(world.clock.nowMs() - sinceMs < SUSPECT_AFTER_MIN_MS + 100);
  assert.equal(world.connections.length, 2);
  assert.equal(old.closed, true);
  assert.equal(remote.session.reconnects, 1);
  assert.ok((await world.ends(read(world.device, 0, 512), 'a look')).equals(BYTES));
  assert.deepEqual(
    world.lines.map(({ level, text }) => [level, text]),
    [
      ['info', 'an answer is late: dialling a second connection beside the first'],
      ['info', 'connected to the export again'],
    ],
  );
});

test('a late answer: the first connection recovers first, and the dial is called off', async () => {
  const { world, remote, old, writing } = await stalled();
  world.dials = 'hang';
  await world.pass(SUSPECT_AFTER_MIN_MS + 100);
  assert.equal(world.requests.length, 2);
  assert.equal(remote.session.connected, true, 'the first stays in use');
  old.open();
  await world.ends(writing, 'the write', 100);
  assert.equal(world.requests[1]?.signal.aborted, true);
  assert.equal(remote.session.reconnects, 0);
  await world.pass(30_000);
  assert.equal(world.requests.length, 2);
  assert.deepEqual(
    world.lines.map(({ text }) => text),
    [
      'an answer is late: dialling a second connection beside the first',
      'the connection has recovered',
    ],
  );
});

test('what the old connection still carries, after the new one is welcomed, never lands', async () => {
  const { world, remote, old, writing } = await stalled();
  await world.ends(writing, 'the write');
  await world.ends(write(remote, 0, pattern(512, 2)), 'the next write');
  old.open();
  await world.pass(1_000);
  assert.ok((await world.ends(read(remote, 0, 512), 'a look')).equals(pattern(512, 2)));
});

test('a missed ping: an idle session dials too, and logs it once', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  world.connection.shut();
  await world.comes(
    () => remote.session.reconnects === 1,
    'another connection',
    3 * PING_INTERVAL_MS,
  );
  assert.deepEqual(
    world.lines.map(({ text }) => text),
    [
      'the export is silent: dialling a second connection beside the first',
      'connected to the export again',
    ],
  );
});

test('a ping that is answered late calls the dial off, with no I/O to show it', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  world.dials = 'hang';
  world.connection.shut();
  await world.comes(() => world.requests.length === 2, 'the dial', 3 * PING_INTERVAL_MS);
  world.connection.open();
  await world.pass(10);
  assert.equal(world.requests[1]?.signal.aborted, true);
  assert.equal(world.said(/has recovered/).length, 1);
  assert.equal(remote.session.reconnects, 0);
});

test('a slow disk is not a dead export: nothing is sent again, and nothing dialled', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  const hold = world.device.hold(({ name }) => name === 'write');
  const writing = write(remote, 0, BYTES);
  await world.pass(4 * RESEND_TIMEOUT_MS);
  hold.release();
  await world.ends(writing, 'the write');
  assert.equal(world.requests.length, 1);
  assert.equal(remote.session.counters.resent, 0);
});

test('a line that needs seconds for one write carries it all the same', async () => {
  const PIECE_BYTES = 4096;
  const world = new SessionWorld({
    split: (bytes) => {
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        pieces.push(bytes.subarray(at, at + PIECE_BYTES));
      }
      return pieces;
    },
    delayMs: () => 50,
  });
  const remote = await world.connect();
  const bytes = pattern(TRANSACTION_SPLIT_BYTES, 1);
  await world.ends(write(remote, 0, bytes), 'the write', 20_000);
});

test('a changed path: a new connection is made before the old one is given up', async () => {
  const world = new SessionWorld();
  let changed = () => {};
  const remote = await world.connect({
    watchPath: (listener) => {
      changed = listener;
      return () => {};
    },
  });
  const [old] = world.connections;
  changed();
  assert.equal(world.requests.length, 2, 'dialled at once');
  let wasDown = false;
  await world.comes(() => {
    wasDown ||= world.connections.length === 1 && !remote.session.connected;
    return remote.session.reconnects === 1;
  }, 'the other connection');
  assert.equal(wasDown, false);
  assert.equal(old?.closed, true);
  assert.deepEqual(world.said(/lost/), [], 'the export’s farewell to the old one is no outage');
  await world.ends(write(remote, 0, BYTES), 'a write');
});

test('a changed path that leads nowhere leaves the first connection in use', async () => {
  const world = new SessionWorld();
  let changed = () => {};
  const remote = await world.connect({
    watchPath: (listener) => {
      changed = listener;
      return () => {};
    },
  });
  world.dials = 'fail';
  changed();
  for (let second = 0; second < 60; second++) {
    await world.pass(1_000);
    await world.ends(write(remote, 0, BYTES), 'a write', 10);
  }
  assert.equal(remote.session.reconnects, 0);
  assert.equal(world.lines.length, 1, 'that a second connection is dialled');
});

test('a second connection that is refused for good ends the session all the same', async () => {
  const { world, remote, writing } = await stalled();
  const taking = world.connecting({ takeover: true });
  await assert.rejects(world.ends(writing, 'the end'), failsWith('DST_E_TAKEN_OVER', 'EIO'));
  const other = await world.ends(taking, 'the takeover');
  assert.equal((await remote.session.refused).code, 'DST_E_TAKEN_OVER');
  await world.ends(other.flush(), 'a flush of whoever took over');
});

test('a HELLO that nobody answers is followed by another', async () => {
  const { world, remote, writing } = await stalled();
  // What is dialled next connects, and is never answered.
  const { connections } = world;
  await world.comes(
    () => {
      if (connections.length === 2) connections[1]?.shut();
      return connections.length === 3;
    },
    'another connection',
    CONNECT_TIMEOUT_MS,
  );
  await world.ends(writing, 'the write', WELCOME_PATIENCE_MS + 2_000);
  assert.equal(remote.session.connected, true);
});

test('a write that is given up is never sent past: the next one goes on another connection', async () => {
  const world = new SessionWorld();
  const remote = await world.connect({ maxResends: 1, resendTimeoutMs: 700 });
  world.dials = 'hang';
  world.connection.shut();
  const first = write(remote, 0, pattern(512, 1));
  const second = write(remote, 0, pattern(512, 2));
  await assert.rejects(world.ends(first, 'the end', 1_500), {
    code: 'DST_E_RESENDS',
    errno: 'EIO',
  });
  world.dials = 'succeed';
  await world.ends(second, 'the second write', 2_000);
  assert.equal(remote.session.reconnects, 1);
  world.connections[0]?.open();
  await world.pass(1_000);
  assert.ok((await world.ends(read(remote, 0, 512), 'a look')).equals(pattern(512, 2)));
});

test('a peer that falls silent is noticed by its missing pongs, and replaced', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  world.dials = 'hang';
  world.connection.shut();
  await world.pass((PINGS_UNANSWERED_MAX + 1) * PING_INTERVAL_MS - 10);
  assert.equal(remote.session.connected, true);
  await world.pass(20);
  assert.equal(remote.session.connected, false);
  world.dials = 'succeed';
  await world.ends(remote.flush(), 'a flush');
});

test('an idle peer that answers pings is kept', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  await world.pass(20 * PING_INTERVAL_MS);
  assert.equal(remote.session.connected, true);
  assert.equal(world.requests.length, 1);
  assert.deepEqual(world.lines, []);
});

test('a request that is lost on its stream goes out again on the same connection', async () => {
  let lost = false;
  const world = new SessionWorld({
    split: (bytes) => {
      if (lost || bytes.length < 4096) return [bytes];
      lost = true;
      return [];
    },
  });
  const remote = await world.connect();
  world.dials = 'fail';
  await world.ends(write(remote, 0, pattern(8192, 1)), 'the write', RESEND_TIMEOUT_MS + 100);
  assert.ok((await world.ends(read(world.device, 0, 8192), 'a look')).equals(pattern(8192, 1)));
  assert.equal(remote.session.counters.timedOut, 1);
  assert.equal(remote.session.reconnects, 0);
  world.dials = 'succeed';
  await world.comes(() => remote.session.reconnects === 1, 'a connection without a stalled stream');
});

test('answers on the link do not hurry what is dialled beside it in vain', async () => {
  const world = new SessionWorld();
  const remote = await world.connect();
  world.connection.hollow = true;
  const lost = write(remote, 0, pattern(512, 1));
  lost.catch(() => {});
  await world.pass(10);
  world.connection.hollow = false;
  world.dials = 'are refused';
  for (let round = 0; round < 100; round++) {
    await world.ends(write(remote, 4096, pattern(512, round)), 'a write');
    await world.pass(100);
  }
  assert.ok(world.said(/an answer is late/).length > 0);
  assert.ok(world.requests.length < 30, `${world.requests.length} dials in 10 s`);
});
