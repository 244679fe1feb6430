import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { DstError } from '../../src/errors.js';
import { HostAddresses } from '../../src/transport/host-addresses.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import { dialQuic, type QuicDialOptions } from '../../src/transport/quic/dial.js';
import type { Connection } from '../../src/transport/transport.js';
import type { Identity } from '../../src/trust/identity.js';
import { runModule } from '../support/run-module.js';
import { soon, until } from '../support/wait.js';
import { certificatesFor, closedPort, failsWith, quicListener } from './fixtures.js';

const HOST = 'export.test';
const FIRST = '127.0.0.1';
const SECOND = '127.0.0.2';

/** A UDP port that takes everything and answers nothing; counts what it took. */
async function blackHole(t: TestContext, address = FIRST, port = 0) {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  const hole = { port: 0, packets: 0 };
  socket.on('message', () => hole.packets++);
  socket.bind(port, address);
  await once(socket, 'listening');
  hole.port = socket.address().port;
  return hole;
}

/** A listener at the second address, and a black hole at the same port of the first. */
async function listenerBesideHole(t: TestContext, identity: Identity): Promise<number> {
  for (;;) {
    const { port } = (await quicListener(t, identity, SECOND)).address;
    try {
      await blackHole(t, FIRST, port);
      return port;
    } catch (error) {
      // Another process may have the port at that address.
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

/** Dials a name that has these addresses, and hangs up. */
async function dialNamed(
  addresses: string[],
  options: Omit<QuicDialOptions, 'host' | 'addresses'>,
): Promise<Connection> {
  const connection = await dialQuic({
    host: HOST,
    addresses: new HostAddresses(HOST, async () => addresses),
    ...options,
  });
  connection.close('seen');
  return connection;
}

test('a dial that is aborted rejects at once', async (t) => {
  const { pin: trust } = await certificatesFor(t, [HOST]);
  const hole = await blackHole(t);
  const abort = new AbortController();
  const { signal } = abort;
  const dial = dialQuic({ host: FIRST, port: hole.port, trust, timeoutMs: 60_000, signal });
  const rejected = assert.rejects(dial, failsWith('DST_E_ABORTED'));
  await until(() => hole.packets > 1, 'the first packets');
  abort.abort();
  await soon(rejected, 'the rejection');
});

test('a dial that was aborted before sends nothing', async (t) => {
  const { pin: trust } = await certificatesFor(t, [HOST]);
  const hole = await blackHole(t);
  const signal = AbortSignal.abort();
  await assert.rejects(
    dialQuic({ host: FIRST, port: hole.port, trust, signal }),
    failsWith('DST_E_ABORTED'),
  );
  // Had it sent anything, that would be here before what is sent now.
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.send('marker', hole.port, FIRST);
  await until(() => hole.packets > 0, 'the marker');
  assert.equal(hole.packets, 1);
});

test('a dial that waits for the name service can be aborted too', async (t) => {
  const { pin: trust } = await certificatesFor(t, [HOST]);
  const abort = new AbortController();
  const addresses = new HostAddresses(HOST, () => new Promise(() => {}));
  const dial = dialQuic({ host: HOST, port: 1, trust, addresses, signal: abort.signal });
  abort.abort();
  await soon(assert.rejects(dial, failsWith('DST_E_ABORTED')), 'the rejection');
});

test('the in-memory network dials nothing for who aborted', async () => {
  const network = new MemoryNetwork();
  network.listen().onConnection(() => {});
  await assert.rejects(network.dial({ signal: AbortSignal.abort() }), failsWith('DST_E_ABORTED'));
});

test('a dial that was aborted keeps no process alive', async (t) => {
  const { pin } = await certificatesFor(t, [HOST]);
  const hole = await blackHole(t);
  const dialUrl = new URL('../../src/transport/quic/dial.js', import.meta.url).href;
  const trustUrl = new URL('../../src/trust/server-trust.js', import.meta.url).href;
  const script = `
    import { dialQuic } from ${JSON.stringify(dialUrl)};
    import { loadServerTrust } from ${JSON.stringify(trustUrl)};
    const trust = loadServerTrust(${JSON.stringify(pin.path)});
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    await dialQuic({ host: '127.0.0.1', port: ${hole.port}, trust, timeoutMs: 60_000,
      signal: abort.signal }).catch((error) => console.log(error.code));`;
  assert.equal(await runModule(t, script), 'DST_E_ABORTED');
});

test('dials that fail leave no descriptor and no thread behind', async (t) => {
  const { pin: trust } = await certificatesFor(t, [HOST]);
  const hole = await blackHole(t);
  const port = await closedPort();
  const held = () => ({
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
  });
  const refused = () =>
    assert.rejects(dialQuic({ host: FIRST, port, trust }), failsWith('DST_E_REFUSED'));
  const aborted = () => {
    const abort = new AbortController();
    const { signal } = abort;
    const dial = dialQuic({ host: FIRST, port: hole.port, trust, signal });
    setTimeout(() => abort.abort(), 5);
    return assert.rejects(dial, failsWith('DST_E_ABORTED'));
  };
  // The first ones start what stays: the engine's library, its allocator's threads.
  await Promise.all([refused(), aborted(), refused(), aborted()]);
  const before = held();
  for (let i = 0; i < 20; i++) await Promise.all([refused(), aborted()]);
  await until(() => {
    const { descriptors, threads } = held();
    return descriptors <= before.descriptors && threads <= before.threads;
  }, 'the end of the engine’s threads');
});

test('an address on which nothing listens leaves its turn to the next', async (t) => {
  const { identity, pin: trust } = await certificatesFor(t, [HOST]);
  const { port } = (await quicListener(t, identity, SECOND)).address;
  const connection = await dialNamed([FIRST, SECOND], { port, trust });
  assert.equal(connection.peer.address, SECOND);
});

test('an address to which there is no way leaves its turn at once', async (t) => {
  const { identity, pin: trust } = await certificatesFor(t, [HOST]);
  const { port } = (await quicListener(t, identity)).address;
  const startMs = performance.now();
  const connection = await dialNamed(['fe80::1%nowhere', FIRST], {
    port,
    trust,
    timeoutMs: 60_000,
  });
  assert.equal(connection.peer.address, FIRST);
  assert.ok(performance.now() - startMs < 30_000);
});

test('an address that does not answer leaves its share of the time to the next', async (t) => {
  const { identity, pin: trust } = await certificatesFor(t, [HOST]);
  const port = await listenerBesideHole(t, identity);
  const startMs = performance.now();
  const connection = await dialNamed([FIRST, SECOND], { port, trust, timeoutMs: 4_000 });
  assert.equal(connection.peer.address, SECOND);
  const elapsedMs = performance.now() - startMs;
  assert.ok(elapsedMs > 1_900, `${elapsedMs} ms`);
});

test('each attempt begins at another address', async (t) => {
  const { identity, pin: trust } = await certificatesFor(t, [HOST]);
  const port = await listenerBesideHole(t, identity);
  for (const attempt of [1, 3]) {
    const startMs = performance.now();
    const dial = dialNamed([FIRST, SECOND], { port, trust, attempt, timeoutMs: 60_000 });
    const connection = await dial;
    assert.equal(connection.peer.address, SECOND);
    assert.ok(performance.now() - startMs < 20_000, 'the other is not waited for');
  }
});

test('when no address answers, each is named', async (t) => {
  const { pin: trust } = await certificatesFor(t, [HOST]);
  const hole = await blackHole(t);
  const dial = dialNamed([FIRST, SECOND], { port: hole.port, trust, timeoutMs: 1_000 });
  await assert.rejects(dial, (error) => {
    assert.ok(error instanceof DstError);
    assert.equal(error.code, 'DST_E_UNREACHABLE');
    assert.match(error.message, /127\.0\.0\.1 \(no answer\), 127\.0\.0\.2 \(nothing listens\)/);
    return true;
  });
});

test('when nothing listens on any address, that is the reason', async (t) => {
  const { pin: trust } = await certificatesFor(t, [HOST]);
  const dial = dialNamed([FIRST, SECOND], { port: await closedPort(), trust });
  await assert.rejects(dial, failsWith('DST_E_REFUSED'));
});

test('a machine without a way to the export says so at once', async (t) => {
  const { pin: trust } = await certificatesFor(t, [HOST]);
  const dial = dialQuic({ host: 'fe80::1%nowhere', port: 1, trust, timeoutMs: 60_000 });
  await soon(assert.rejects(dial, failsWith('DST_E_UNREACHABLE')), 'the rejection');
});
