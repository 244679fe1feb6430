/** How the ends of a WebTransport connection over HTTP/2 hear that it has ended, and that soon. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WEBTRANSPORT_CLOSE_LINGER_MS } from '../../src/limits.js';
import type { Connection, Stream } from '../../src/transport/transport.js';
import { dialWebTransport } from '../../src/transport/webtransport/dial.js';
import { WEBTRANSPORT_PATH } from '../../src/transport/webtransport/options.js';
import { soon, until } from '../support/wait.js';
import { certificatesFor, webTransportListener } from './fixtures.js';

const LOOPBACK = '127.0.0.1';

/** A port that passes everything on to another, and the sockets that it does so with. */
async function relay(t: TestContext, port: number) {
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connectTcp(port, LOOPBACK);
    for (const socket of [near, far]) {
      socket.on('error', () => {});
      sockets.push(socket);
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

/** Both ends of a connection through a relay. */
async function relayedPair(t: TestContext) {
  const { identity, pin } = await certificatesFor(t, ['localhost']);
  const listener = await webTransportListener(t, identity);
  const way = await relay(t, listener.address.port);
  const accepted = new Promise<Connection>((resolve) => listener.onConnection(resolve));
  const client = await dialWebTransport({ host: LOOPBACK, port: way.port, trust: pin });
  t.after(() => client.close('the test is over'));
  return { client, server: await soon(accepted, 'the connection'), sockets: way.sockets };
}

function closeOf(connection: Connection): Promise<unknown> {
  return soon(new Promise((resolve) => connection.onClose(resolve)), 'the close');
}

for (const [what, end] of [
  ['resets', (socket: Socket) => socket.resetAndDestroy()],
  ['ends', (socket: Socket) => socket.end()],
] as const) {
  test(`a TCP connection that the other machine ${what} is told on both sides`, async (t) => {
    const { client, server, sockets } = await relayedPair(t);
    const told = [closeOf(client), closeOf(server)];
    for (const socket of sockets) end(socket);
    await Promise.all(told);
  });
}

test('a peer that takes nothing any more is let go of, with what is queued for it', async (t) => {
  const QUEUED_BYTES = 32 << 20;
  const { client, sockets } = await relayedPair(t);
  const [near] = sockets;
  assert.ok(near !== undefined);
  near.unpipe().pause();
  const stream = client.openStream();
  for (let bytes = 0; bytes < QUEUED_BYTES; bytes += 1 << 20) stream.write([Buffer.alloc(1 << 20)]);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  client.close('nobody is there');
  t.mock.timers.tick(WEBTRANSPORT_CLOSE_LINGER_MS);
  let receivedBytes = 0;
  near.on('data', (chunk) => {
    receivedBytes += chunk.length;
  });
  near.resume();
  await soon(new Promise((resolve) => near.once('close', resolve)), 'the end');
  assert.ok(receivedBytes < QUEUED_BYTES, `${receivedBytes} bytes`);
});

test('what a peer does not read stays untaken', async (t) => {
  const WRITES = 32;
  const { client, server, sockets } = await relayedPair(t);
  const incoming = new Promise<Stream>((resolve) => server.onStream(resolve));
  client.openStream().write([Buffer.from('hello')]);
  const stream = await soon(incoming, 'the stream');
  for (const socket of sockets) socket.unpipe().pause();
  let taken = 0;
  for (let i = 0; i < WRITES; i++) stream.write([Buffer.alloc(1 << 20)], () => taken++);
  await until(() => taken > 0, 'the first write');
  assert.ok(taken < WRITES);
  assert.ok(stream.queuedBytes > 0 && stream.queuedBytes <= (WRITES - taken) << 20);
  server.close('the test is over');
  assert.equal(taken, WRITES);
  assert.equal(stream.queuedBytes, 0);
  for (const socket of sockets) socket.destroy();
});

test('keepAlive asks the peer for a sign of life', async (t) => {
  const { identity } = await certificatesFor(t, ['localhost']);
  const listener = await webTransportListener(t, identity);
  const accepted = new Promise<Connection>((resolve) => listener.onConnection(resolve));
  const http2 = connect(`https://${LOOPBACK}:${listener.address.port}`, {
    rejectUnauthorized: false,
  });
  t.after(() => http2.destroy());
  await soon(once(http2, 'remoteSettings'), 'the settings');
  const stream = http2.request({
    ':method': 'CONNECT',
    ':protocol': 'webtransport',
    ':path': WEBTRANSPORT_PATH,
  });
  stream.on('error', () => {});
  const connection = await soon(accepted, 'the connection');
  const ping = once(http2, 'ping');
  connection.keepAlive();
  await soon(ping, 'the ping');
});
