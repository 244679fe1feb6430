import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { LinkRequest } from '../../src/client/greeting.js';
import type { LaneHandlers } from '../../src/client/lane.js';
import { Link } from '../../src/client/link.js';
import type { DstError } from '../../src/errors.js';
import { PINGS_UNANSWERED_MAX } from '../../src/limits.js';
import { KIND } from '../../src/protocol/kinds.js';
import { type Notice, SESSION_BYTES, type Welcome } from '../../src/protocol/messages.js';
import type { MemoryConnection } from '../../src/transport/memory.js';
import { comes, ends, pass, VirtualClock } from '../support/virtual-time.js';
import { FakeExport, type FakePeer } from './fake-export.js';
import { failsWith } from './support.js';

const PING_INTERVAL_MS = 2_000;
const TIMEOUT_MS = 10_000;

/** A connection to a fake export on which HELLO has been said. */
async function greeted(request: Partial<LinkRequest> = {}) {
  const clock = new VirtualClock();
  const fake = new FakeExport(clock);
  const abort = new AbortController();
  const connection: MemoryConnection = await fake.network.dial();
  const greeting = Link.greet(
    connection,
    {
      intent: 'attach',
      exportName: 'vol',
      session: randomBytes(SESSION_BYTES),
      epoch: 1,
      checksums: ['none'],
      readOnly: false,
      resuming: false,
      takeover: false,
      ...request,
    },
    { clock, pingIntervalMs: PING_INTERVAL_MS, timeoutMs: TIMEOUT_MS, signal: abort.signal },
  );
  // Some tests look at it only later.
  greeting.catch(() => {});
  await comes(clock, () => fake.peer(0).hello !== undefined, 'HELLO');
  return { clock, connection, greeting, abort, peer: fake.peer(0) };
}

/** What a link told its handlers. */
function recorder() {
  const notices: Notice[] = [];
  const downs: DstError[] = [];
  const seen = { silences: 0, heard: 0, alive: 0 };
  const handlers: LaneHandlers = {
    onReply() {},
    onNotice: (notice) => notices.push(notice),
    onSilence: () => seen.silences++,
    onHeard: () => seen.heard++,
    onAlive: () => seen.alive++,
    onDown: (reason) => downs.push(reason),
  };
  return { notices, downs, seen, handlers };
}

async function started() {
  const world = await greeted();
  world.peer.welcome();
  const link = await ends(world.clock, world.greeting, 'WELCOME');
  const record = recorder();
  link.start(record.handlers);
  return { ...world, ...record, link };
}

/** Answers every ping so far. */
function answerPings(peer: FakePeer): void {
  for (const { kind, sequence } of peer.frames.splice(0)) {
    if (kind === KIND.ping) peer.pong(sequence);
  }
}

test('HELLO says what was asked for', async () => {
  const { peer } = await greeted({ epoch: 7, readOnly: true, resuming: true, takeover: true });
  const { export: name, epoch, readOnly, resuming, takeover } = peer.hello ?? {};
  assert.deepEqual([name, epoch, readOnly, resuming, takeover], ['vol', 7, true, true, true]);
});

test('a notice in one piece with WELCOME is delivered when somebody listens', async () => {
  const { clock, peer, greeting } = await greeted();
  peer.welcome({}, { event: 'resized', sizeBytes: 512 }, { event: 'going away' });
  const link = await ends(clock, greeting, 'WELCOME');
  const { handlers, notices } = recorder();
  await pass(clock, 10);
  link.start(handlers);
  assert.deepEqual(
    notices.map(({ event }) => event),
    ['resized', 'going away'],
  );
});

test('a link that died before somebody listened says so at once', async () => {
  const { clock, peer, greeting, connection } = await greeted();
  peer.welcome();
  const link = await ends(clock, greeting, 'WELCOME');
  connection.cut();
  const { handlers, downs } = recorder();
  link.start(handlers);
  assert.deepEqual(
    downs.map(({ code }) => code),
    ['DST_E_CONNECTION_LOST'],
  );
});

test('a refusal rejects with the export’s words, and hangs up', async () => {
  const { clock, peer, greeting, connection } = await greeted();
  peer.refuse({ code: 'DST_E_BUSY', message: '192.0.2.1:7 writes to it' });
  await assert.rejects(ends(clock, greeting, 'the refusal'), {
    code: 'DST_E_BUSY',
    message: '192.0.2.1:7 writes to it',
  });
  assert.equal(connection.closed, true);
});

test('no WELCOME within its time: DST_E_TIMEOUT, and nothing is left open', async () => {
  const { clock, greeting, connection } = await greeted();
  const beganMs = clock.nowMs();
  await assert.rejects(ends(clock, greeting, 'the timeout'), failsWith('DST_E_TIMEOUT'));
  assert.ok(clock.nowMs() - beganMs <= TIMEOUT_MS);
  assert.equal(connection.closed, true);
});

test('a connection lost before WELCOME rejects', async () => {
  const { clock, greeting, connection } = await greeted();
  connection.cut();
  await assert.rejects(ends(clock, greeting, 'the loss'), failsWith('DST_E_CONNECTION_LOST'));
});

test('a greeting that is aborted rejects at once, and hangs up', async () => {
  const { greeting, connection, abort } = await greeted();
  abort.abort();
  await assert.rejects(greeting, failsWith('DST_E_CONNECTION_LOST'));
  assert.equal(connection.closed, true);
});

const WRONG: Record<string, Partial<Welcome>> = {
  'another session': { session: randomBytes(SESSION_BYTES) },
  'another epoch': { epoch: 2 },
  'a checksum that was not offered': { checksum: 'blake3' },
  'no export': { export: undefined },
};
for (const [what, changes] of Object.entries(WRONG)) {
  test(`a WELCOME with ${what} is a breach`, async () => {
    const { clock, peer, greeting, connection } = await greeted();
    peer.welcome(changes);
    await assert.rejects(ends(clock, greeting, 'the end'), { code: 'DST_E_PROTOCOL' });
    assert.equal(connection.closed, true);
  });
}

test('a second WELCOME is a breach', async () => {
  const { clock, peer, downs, connection } = await started();
  peer.welcome();
  await comes(clock, () => downs.length > 0, 'the end');
  assert.equal(downs[0]?.code, 'DST_E_PROTOCOL');
  assert.equal(connection.closed, true);
});

// ---- Pings -----------------------------------------------------------------------------

test('a missed ping is told once an interval, and that something came after it once', async () => {
  const { clock, peer, link, seen, downs } = await started();
  await pass(clock, PING_INTERVAL_MS + 10);
  answerPings(peer);
  await pass(clock, PING_INTERVAL_MS);
  assert.equal(seen.silences, 0);
  assert.equal(link.silent, false);
  await pass(clock, PING_INTERVAL_MS);
  assert.equal(seen.silences, 1);
  assert.equal(link.silent, true);
  answerPings(peer);
  await pass(clock, 10);
  assert.equal(seen.heard, 1);
  assert.equal(link.silent, false);
  assert.deepEqual(downs, []);
});

test('a peer that answers no ping at all is dead', async () => {
  const { clock, downs, connection } = await started();
  await pass(clock, (PINGS_UNANSWERED_MAX + 1) * PING_INTERVAL_MS - 10);
  assert.deepEqual(downs, []);
  await pass(clock, 20);
  assert.deepEqual(
    downs.map(({ code }) => code),
    ['DST_E_PEER_SILENT'],
  );
  assert.equal(connection.closed, true);
});

test('a notice proves the peer alive as well as a pong does', async () => {
  const { clock, peer, seen, downs } = await started();
  for (let interval = 0; interval < 10; interval++) {
    peer.notify({ event: 'working', transactions: [] });
    await pass(clock, PING_INTERVAL_MS);
  }
  assert.equal(seen.silences, 0);
  assert.deepEqual(downs, []);
});

test('a round trip is measured by its own pong, and rejects when the link goes down', async () => {
  const { clock, peer, link, connection } = await started();
  const first = link.ping();
  await pass(clock, 30);
  answerPings(peer);
  assert.ok((await ends(clock, first, 'the pong')) >= 30);
  const second = link.ping();
  const rejected = assert.rejects(second, failsWith('DST_E_CONNECTION_LOST'));
  connection.cut();
  await rejected;
  await assert.rejects(link.ping(), failsWith('DST_E_CONNECTION_LOST'));
});

test('a link that was closed tells nobody, and pings no more', async () => {
  const { clock, link, peer, downs } = await started();
  link.close('done');
  await pass(clock, 10 * PING_INTERVAL_MS);
  assert.deepEqual(downs, []);
  assert.equal(peer.frames.length, 0);
  assert.equal(peer.closed, true);
});
