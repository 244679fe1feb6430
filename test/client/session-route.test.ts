import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Scheme } from '../../src/client/address.js';
import type { DialRequest } from '../../src/client/dial.js';
import type { RemoteDevice } from '../../src/client/remote-device.js';
import { Router } from '../../src/client/route/router.js';
import { type SessionRoute, sessionRoute } from '../../src/client/route/session-route.js';
import { DstError } from '../../src/errors.js';
import {
  FIRST_HELLO_TIMEOUT_MS,
  QUIC_PROBE_INTERVAL_MS,
  QUIC_PROBED_KEEP_MS,
} from '../../src/limits.js';
import type { Failure } from '../../src/protocol/messages.js';
import type { Connection, PeerAddress } from '../../src/transport/transport.js';
import { Valve } from '../support/valve.js';
import { FakeExport } from './fake-export.js';
import { SessionWorld } from './session-world.js';
import { pattern, read, write } from './support.js';

type Name = 'quic' | 'webtransport';

/** When TCP asks for a connection again, after its first packet was lost, ms. */
const SYN_RETRIES_MS = [1_000, 3_000, 7_000];

/** What a command may wait on a connection that carries nothing, until there is another. */
const FALLING_BACK_MS = 3_000;

/** How often somebody else's export looks whether HELLO has come. */
const HELLO_CHECK_MS = 5;

/** A session whose export can be reached over two transports, each of which can be cut. */
class RoutedWorld extends SessionWorld {
  readonly router: Router;
  readonly dialled: Name[] = [];
  readonly valves: Valve[] = [];
  readonly #passes = { quic: true, webtransport: true };
  readonly #dials = {
    quic: (request: DialRequest) => this.#dial('quic', request),
    webtransport: (request: DialRequest) => this.#dial('webtransport', request),
  };
  /** Connections over QUIC are made, and carry nothing. */
  quicIsMute = false;
  /** The same, but that they pass the greeting and pings. */
  quicIsHollow = false;
  /** What whoever is reached over QUIC answers to HELLO. */
  quicRefusal: Failure | undefined;
  /** This machine is in another network. */
  roam = (): void => {};

  constructor(scheme?: Scheme) {
    super();
    this.router = new Router({
      place: { scheme, host: 'storage.example', port: 4433 },
      ...this.#dials,
      memory: { quicIsSilent: async () => false, setQuicSilent: async () => {} },
      clock: this.clock,
    });
  }

  newRoute(): SessionRoute {
    return sessionRoute({
      router: this.router,
      quic: this.#dials.quic,
      clock: this.clock,
      random: () => 0.5,
      watch: (_peer, changed) => {
        this.roam = changed;
        return () => {};
      },
    });
  }

  connectRouted(): Promise<RemoteDevice> {
    return this.connect(this.newRoute());
  }

  /** Of the connection in use. */
  get transport(): Connection['transport'] | undefined {
    return this.router.current?.transport;
  }

  cut(...names: Name[]): void {
    for (const name of names) this.#passes[name] = false;
    for (const valve of this.valves) {
      if (names.some((name) => valve.transport === name)) valve.shut();
    }
  }

  heal(...names: Name[]): void {
    for (const name of names) this.#passes[name] = true;
  }

  /**
   * Writes and reads each half second for so long; any error is the test's. Returns how long
   * the slowest round took, ms.
   */
  async use(remote: RemoteDevice, durationMs: number): Promise<number> {
    const endMs = this.clock.nowMs() + durationMs;
    let slowestMs = 0;
    for (let round = 0; this.clock.nowMs() < endMs; round++) {
      const startMs = this.clock.nowMs();
      const bytes = pattern(512, round);
      await this.ends(write(remote, 512 * (round % 64), bytes), 'a write');
      const found = await this.ends(read(remote, 512 * (round % 64), 512), 'a read');
      assert.ok(found.equals(bytes), 'what was written is read');
      slowestMs = Math.max(slowestMs, this.clock.nowMs() - startMs);
      await this.pass(500);
    }
    return slowestMs;
  }

  async #dial(name: Name, request: DialRequest): Promise<Connection> {
    this.dialled.push(name);
    if (!this.#passes[name]) await this.#lost(name, request);
    const refusal = name === 'quic' ? this.quicRefusal : undefined;
    const inner = await (refusal ? this.#refuse(refusal) : this.network.dial(request));
    const valve = new Valve(inner, name);
    if (name === 'quic' && this.quicIsMute) valve.shut();
    if (name === 'quic') valve.hollow = this.quicIsHollow;
    this.valves.push(valve);
    return valve;
  }

  async #refuse(refusal: Failure): Promise<Connection> {
    const other = new FakeExport(this.clock);
    const connection = await other.network.dial();
    const answer = () => {
      const peer = other.peer(0);
      if (peer.hello !== undefined) peer.refuse(refusal);
      else if (!peer.closed) this.clock.after(HELLO_CHECK_MS, answer);
    };
    this.clock.after(HELLO_CHECK_MS, answer);
    return connection;
  }

  /** Resolves when TCP asks again on a network that is back; QUIC never comes to that here. */
  #lost(name: Name, { signal, timeoutMs }: DialRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = () => reject(new DstError('DST_E_UNREACHABLE', `${name} is cut`));
      signal.addEventListener('abort', fail);
      this.clock.after(timeoutMs, fail);
      if (name === 'quic') return;
      for (const retryMs of SYN_RETRIES_MS) {
        this.clock.after(retryMs, () => {
          if (this.#passes[name] && !signal.aborted) resolve();
        });
      }
    });
  }
}

test('UDP that begins to be dropped moves a session to WebTransport, without an error', async () => {
  const world = new RoutedWorld();
  const remote = await world.connectRouted();
  await world.use(remote, 2_000);
  assert.equal(world.transport, 'quic');
  world.cut('quic');
  await world.use(remote, 10_000);
  assert.equal(world.transport, 'webtransport');
  assert.deepEqual(
    world.lines.map(({ text }) => text),
    [
      'an answer is late: dialling a second connection beside the first',
      'connected to the export again by webtransport (QUIC did not answer within 1 s)',
    ],
  );
});

test('a session that fell back moves to QUIC within a minute of its return, seamlessly', async () => {
  const world = new RoutedWorld();
  world.cut('quic');
  const remote = await world.connectRouted();
  assert.equal(world.transport, 'webtransport');
  world.heal('quic');
  await world.use(remote, QUIC_PROBE_INTERVAL_MS + 1_000);
  assert.equal(world.transport, 'quic');
  assert.equal(remote.session.reconnects, 1);
  assert.deepEqual(
    world.lines.map(({ level, text }) => [level, text]),
    [
      ['info', 'QUIC works again: dialling a second connection beside the first'],
      ['info', 'connected to the export again by quic'],
    ],
  );
  const overQuic = world.valves.filter(({ transport }) => transport === 'quic');
  assert.equal(overQuic.length, 1, 'the connection of the probe is the one in use');
});

test('where QUIC stays silent nothing is moved, and probes disturb nobody', async () => {
  const world = new RoutedWorld();
  world.cut('quic');
  const remote = await world.connectRouted();
  await world.use(remote, 10 * QUIC_PROBE_INTERVAL_MS);
  assert.equal(world.transport, 'webtransport');
  assert.equal(remote.session.reconnects, 0);
  assert.deepEqual(world.lines, []);
});

test('a session on WebTransport whose TCP is blocked goes on over QUIC', async () => {
  const world = new RoutedWorld();
  world.cut('quic');
  const remote = await world.connectRouted();
  world.heal('quic');
  world.cut('webtransport');
  await world.use(remote, 5_000);
  assert.equal(world.transport, 'quic');
});

for (let extraMs = 0; extraMs < 2_000; extraMs += 250) {
  test(`an outage of ${10_000 + extraMs} ms ends on QUIC, where that works as before`, async () => {
    const world = new RoutedWorld();
    const remote = await world.connectRouted();
    world.cut('quic', 'webtransport');
    const writing = write(remote, 0, pattern(512, 7));
    await world.pass(10_000 + extraMs);
    world.heal('quic', 'webtransport');
    await world.ends(writing, 'the write', 3_000);
    assert.equal(world.transport, 'quic');
  });
}

test('an outage that ends for TCP only, and the other way round, strands nobody', async () => {
  const world = new RoutedWorld();
  const remote = await world.connectRouted();
  for (const name of ['webtransport', 'quic', 'webtransport'] as const) {
    world.cut('quic', 'webtransport');
    await world.pass(10_000);
    world.heal(name);
    await world.use(remote, 5_000);
    assert.equal(world.transport, name);
  }
});

test('QUIC that connects and carries nothing leaves a session on WebTransport', async () => {
  const world = new RoutedWorld();
  world.cut('quic');
  const remote = await world.connectRouted();
  world.heal('quic');
  world.quicIsMute = true;
  await world.use(remote, 3 * QUIC_PROBE_INTERVAL_MS);
  assert.equal(world.transport, 'webtransport');
});

test('a session over QUIC that connects and carries nothing any more falls back', async () => {
  const world = new RoutedWorld();
  const remote = await world.connectRouted();
  world.quicIsMute = true;
  for (const valve of world.valves) valve.shut();
  await world.use(remote, 20_000);
  assert.equal(world.transport, 'webtransport');
  assert.equal(world.router.current?.reason, 'quic-unanswered');
});

test('QUIC that greets and carries nothing costs a session on WebTransport a moment a probe', async () => {
  const world = new RoutedWorld();
  world.cut('quic');
  const remote = await world.connectRouted();
  await world.use(remote, 1_000);
  world.heal('quic');
  world.quicIsHollow = true;
  const slowestMs = await world.use(remote, 10 * QUIC_PROBE_INTERVAL_MS);
  assert.equal(world.transport, 'webtransport');
  assert.equal(world.router.current?.reason, 'quic-unanswered');
  assert.ok(slowestMs < FALLING_BACK_MS, `${slowestMs} ms`);
  assert.ok(remote.session.reconnects <= 10, `${remote.session.reconnects} reconnects`);
});

test('a session over QUIC that begins to carry no more than greetings falls back', async () => {
  const world = new RoutedWorld();
  const remote = await world.connectRouted();
  await world.use(remote, 2_000);
  world.quicIsHollow = true;
  for (const valve of world.valves) valve.hollow = true;
  const writing = write(remote, 0, pattern(512, 7));
  // Patience with an answer doubles each time: 1 s, 2 s and 4 s.
  await world.ends(writing, 'the write', 8_000);
  assert.equal(world.transport, 'webtransport');
  assert.equal(world.router.current?.reason, 'quic-unanswered');
});

for (const code of ['DST_E_ADDRESS_DENIED', 'DST_E_EXPORT_UNKNOWN'] as const) {
  const refusal = { code, message: 'not here' };

  test(`a session on WebTransport that is refused over QUIC stays there (${code})`, async () => {
    const world = new RoutedWorld();
    world.cut('quic');
    const remote = await world.connectRouted();
    world.heal('quic');
    world.quicRefusal = refusal;
    const before = world.dialled.length;
    await world.use(remote, 10 * QUIC_PROBE_INTERVAL_MS);
    assert.equal(world.transport, 'webtransport');
    assert.equal(remote.session.reconnects, 0);
    const dials = world.dialled.length - before;
    assert.ok(dials >= 2 && dials <= 10, `${dials} dials, of probes that go on`);
    assert.equal(world.said(/another one was refused: not here/).length, dials);
  });

  test(`and comes back there when its connection is lost (${code})`, async () => {
    const world = new RoutedWorld();
    world.cut('quic');
    const remote = await world.connectRouted();
    world.heal('quic');
    world.quicRefusal = refusal;
    await world.use(remote, 2 * QUIC_PROBE_INTERVAL_MS);
    world.cut('webtransport');
    const writing = write(remote, 0, pattern(512, 7));
    await world.pass(20_000);
    assert.equal(remote.session.connected, false);
    world.heal('webtransport');
    await world.ends(writing, 'the write', 5_000);
    assert.equal(world.transport, 'webtransport');
  });
}

test('a session over QUIC that is refused there all of a sudden goes on over WebTransport', async () => {
  const world = new RoutedWorld();
  const remote = await world.connectRouted();
  world.quicRefusal = { code: 'DST_E_ADDRESS_DENIED', message: 'not from here' };
  world.network.cut();
  await world.use(remote, 5_000);
  assert.equal(world.transport, 'webtransport');
  assert.equal(world.router.current?.reason, 'quic-denied');
});

test('what the export of a session refuses for good ends it', async () => {
  const world = new RoutedWorld();
  const remote = await world.connectRouted();
  world.quicRefusal = { code: 'DST_E_EXPORT_UNKNOWN', message: 'not any more' };
  world.network.cut();
  const reason = await world.ends(remote.session.refused, 'the end');
  assert.equal(reason.code, 'DST_E_EXPORT_UNKNOWN');
});

test('the first connection falls back too where QUIC makes one and does not answer', async () => {
  const world = new RoutedWorld();
  world.quicIsMute = true;
  const remote = await world.ends(
    world.connecting(world.newRoute()),
    'the connection',
    FIRST_HELLO_TIMEOUT_MS + 1_000,
  );
  assert.equal(world.transport, 'webtransport');
  await world.use(remote, 1_000);
});

test('in another network QUIC is tried again at once', async () => {
  const world = new RoutedWorld();
  world.cut('quic');
  const remote = await world.connectRouted();
  world.heal('quic');
  world.roam();
  await world.use(remote, 1_000);
  assert.equal(world.transport, 'quic');
});

for (const [scheme, name] of [
  ['quic', 'quic'],
  ['https', 'webtransport'],
] as const) {
  test(`a session of ${scheme}:// never moves`, async () => {
    const world = new RoutedWorld(scheme);
    const remote = await world.connectRouted();
    await world.use(remote, 3 * QUIC_PROBE_INTERVAL_MS);
    world.cut(name);
    await world.pass(5_000);
    world.heal(name);
    await world.use(remote, 5_000);
    assert.deepEqual(new Set(world.dialled), new Set([name]));
  });
}

test('a connection that a probe made and nobody took is closed at the end', async () => {
  const world = new RoutedWorld();
  world.cut('quic');
  await world.connectRouted();
  world.heal('quic');
  let offers = 0;
  const stop = world.newRoute().watchPath(() => offers++);
  await world.comes(() => offers === 1, 'the probe');
  stop();
  assert.equal(world.valves.at(-1)?.closed, true);
});

test('an export that is busy has answered: its transport stays the first', async () => {
  const world = new RoutedWorld();
  await world.connect();
  for (let attempt = 0; attempt < 3; attempt++) {
    await assert.rejects(world.connectRouted(), { code: 'DST_E_BUSY' });
  }
  assert.deepEqual(world.dialled, ['quic', 'quic', 'quic']);
});

test('the way to an export is watched to where it was reached, not to where it was dialled', async () => {
  const world = new RoutedWorld();
  let peerOf: (() => PeerAddress | undefined) | undefined;
  const route = sessionRoute({
    router: world.router,
    quic: async () => assert.fail('nobody probes'),
    clock: world.clock,
    watch: (peer) => {
      peerOf = peer;
      return () => {};
    },
  });
  const stop = route.watchPath(() => {});
  const { signal } = new AbortController();
  const connection = await world.ends(
    route.dial({ timeoutMs: 1_000, signal, attempt: 0 }),
    'the connection',
  );
  route.heard(connection, 'greeted');
  assert.equal(peerOf?.(), undefined);
  route.heard(connection, 'welcomed');
  assert.equal(peerOf?.(), connection.peer);
  stop();
});

test('when a session ends, probes end with it, and a connection that one made is closed', async () => {
  const world = new RoutedWorld();
  world.cut('quic');
  const remote = await world.connectRouted();
  await world.ends(remote.close(), 'the end');
  const before = world.dialled.length;
  await world.pass(10 * QUIC_PROBE_INTERVAL_MS);
  assert.equal(world.dialled.length, before);
  await world.pass(QUIC_PROBED_KEEP_MS);
  assert.equal(world.network.connections.length, 0);
});
