import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { before, type TestContext, test } from 'node:test';
import {
  http3Places,
  type ListenOptions,
  listenEverywhere,
} from '../../src/cli/listen-everywhere.js';
import { http3Available } from '../../src/transport/webtransport/engine.js';
import { generateCertificates } from '../../src/trust/generate.js';
import { type Identity, loadServerIdentity } from '../../src/trust/identity.js';
import { noting } from '../export/support.js';
import { failsWith } from '../transport/fixtures.js';
import { temporaryFolder } from './command.js';

const HOST = '127.0.0.1';
let identity: Identity;

before(async (t) => {
  const directory = temporaryFolder(t as TestContext);
  const { files } = await generateCertificates({ directory, hosts: [HOST], days: 1 });
  identity = loadServerIdentity({
    certificatePath: files.serverCertificate,
    keyPath: files.serverKey,
  });
});

/** Where it listens, by transport, and what the log says of it. */
async function listen(t: TestContext, options: Partial<ListenOptions> = {}) {
  const lines: { details: unknown; line: unknown }[] = [];
  const listeners = await listenEverywhere({
    places: [{ host: HOST, port: 0 }],
    identity,
    clients: undefined,
    webTransport: true,
    http3Port: undefined,
    log: noting(lines),
    ...options,
  });
  t.after(() => Promise.all(listeners.map((listener) => listener.close())));
  return { listeners, said: lines.map(({ line }) => line) };
}

test('QUIC and WebTransport share one port number', async (t) => {
  const { listeners, said } = await listen(t);
  assert.deepEqual(
    listeners.map(({ transport }) => transport),
    ['quic', 'webtransport'],
  );
  const [{ address }] = listeners as [(typeof listeners)[0]];
  assert.equal(listeners[1]?.address.port, address.port);
  assert.deepEqual(said.toSorted(), [
    `listening on TCP ${HOST}:${address.port} (WebTransport over HTTP/2)`,
    `listening on UDP ${HOST}:${address.port} (QUIC)`,
  ]);
});

test('QUIC is listened for alone where WebTransport is not wanted', async (t) => {
  const { listeners } = await listen(t, { webTransport: false });
  assert.deepEqual(
    listeners.map(({ transport }) => transport),
    ['quic'],
  );
});

test('a port that TCP does not have is refused, and UDP’s is let go of', async (t) => {
  const taken = createServer().listen(0, HOST);
  t.after(() => taken.close());
  await once(taken, 'listening');
  const bound = taken.address();
  assert.ok(typeof bound === 'object' && bound !== null);
  const { port } = bound;
  await assert.rejects(
    listen(t, { places: [{ host: HOST, port }] }),
    failsWith('DST_E_ADDRESS_IN_USE'),
  );
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind(port, HOST);
  await once(socket, 'listening');
});

test('HTTP/3 has its port once at each host, however many ports QUIC has there', () => {
  const places = [
    { host: HOST, port: 1 },
    { host: HOST, port: 2 },
    { host: '::1', port: 1 },
  ];
  assert.deepEqual(http3Places(places, 443), [
    { host: HOST, port: 443 },
    { host: '::1', port: 443 },
  ]);
  assert.deepEqual(http3Places(places, undefined), []);
});

test('HTTP/3 without its package is refused', async (t) => {
  if (await http3Available()) {
    t.skip('it is installed');
    return;
  }
  await assert.rejects(listen(t, { http3Port: 4434 }), failsWith('DST_E_HTTP3_UNAVAILABLE'));
});
