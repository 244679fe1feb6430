import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { WEBTRANSPORT_STREAMS_MAX } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import type { Connection } from '../../src/transport/transport.js';
import { dialWebTransport } from '../../src/transport/webtransport/dial.js';
import { listenWebTransport } from '../../src/transport/webtransport/listen.js';
import { WEBTRANSPORT_PATH } from '../../src/transport/webtransport/options.js';
import type { ServerTrust } from '../../src/trust/server-trust.js';
import { soon, until } from '../support/wait.js';
import { certificatesFor, failsWith, webTransportListener } from './fixtures.js';

const LOOPBACK = '127.0.0.1';

/** A listener whose connections echo, and what it got. */
async function echoListener(t: TestContext) {
  const { identity, pin } = await certificatesFor(t, ['localhost']);
  const listener = await webTransportListener(t, identity);
  const connections: Connection[] = [];
  const reasons: string[] = [];
  listener.onConnection((connection) => {
    connections.push(connection);
    connection.onClose(({ message }) => reasons.push(message));
    connection.onStream((stream) => stream.onData((chunk) => stream.write([chunk])));
  });
  return { listener, connections, reasons, trust: pin, port: listener.address.port };
}

/** A client that is not ours, and may do anything. */
async function strangeClient(t: TestContext, port: number): Promise<ClientHttp2Session> {
  const http2 = connect(`https://${LOOPBACK}:${port}`, { rejectUnauthorized: false });
  t.after(() => http2.destroy());
  http2.on('error', () => {});
  await soon(once(http2, 'remoteSettings'), 'the settings');
  return http2;
}

function request(http2: ClientHttp2Session, headers: Record<string, string>): ClientHttp2Stream {
  const stream = http2.request(headers);
  stream.on('error', () => {});
  return stream;
}

/** Also where an error comes first. */
function closeOf(ending: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => ending.once('close', resolve));
}

const WANTED = { ':method': 'CONNECT', ':protocol': 'webtransport', ':path': WEBTRANSPORT_PATH };

async function statusOf(stream: ClientHttp2Stream): Promise<unknown> {
  const [headers] = await soon(once(stream, 'response'), 'the answer');
  return (headers as Record<string, unknown>)[':status'];
}

async function echoes(port: number, trust: ServerTrust): Promise<void> {
  const connection = await dialWebTransport({ host: LOOPBACK, port, trust });
  try {
    const stream = connection.openStream();
    const echo = new Promise((resolve) => stream.onData(resolve));
    stream.write([Buffer.from('still there')]);
    assert.equal(String(await soon(echo, 'the echo')), 'still there');
  } finally {
    connection.close('seen');
  }
}

for (const [wildcard, clients] of [
  ['0.0.0.0', [LOOPBACK]],
  ['::', [LOOPBACK, '::1']],
] as const) {
  test(`${wildcard} takes clients of each family, and tells their plain addresses`, async (t) => {
    const { identity, pin } = await certificatesFor(t, ['localhost']);
    const listener = await webTransportListener(t, identity, { host: wildcard });
    const { port } = listener.address;
    for (const host of clients) {
      const accepted = new Promise<Connection>((resolve) => listener.onConnection(resolve));
      const connection = await dialWebTransport({ host, port, trust: pin });
      const { peer, serverCertificateSha256 } = await soon(accepted, 'the connection');
      assert.equal(peer.address, host);
      assert.deepEqual(serverCertificateSha256, connection.serverCertificateSha256);
      connection.close('seen');
    }
  });
}

test('a port in use is told as such', async (t) => {
  const { identity } = await certificatesFor(t, ['localhost']);
  const { port } = (await webTransportListener(t, identity)).address;
  await assert.rejects(
    listenWebTransport({ host: LOOPBACK, port, identity, log: silentLog, protocol: 'http/2' }),
    failsWith('DST_E_ADDRESS_IN_USE'),
  );
});

test('an address of another machine is told as such', async (t) => {
  const { identity } = await certificatesFor(t, ['localhost']);
  await assert.rejects(
    webTransportListener(t, identity, { host: '192.0.2.1' }),
    failsWith('DST_E_ADDRESS_UNAVAILABLE'),
  );
});

test('a listener that closes ends its connections, and its port is free again', async (t) => {
  const { identity, pin } = await certificatesFor(t, ['localhost']);
  const options = { host: LOOPBACK, identity, log: silentLog, protocol: 'http/2' } as const;
  const [first] = await listenWebTransport({ ...options, port: 0 });
  assert.ok(first !== undefined);
  const { port } = first.address;
  const connection = await dialWebTransport({ host: LOOPBACK, port, trust: pin });
  const ended = new Promise((resolve) => connection.onClose(resolve));
  await soon(first.close(), 'the end of the listener');
  await soon(ended, 'the end of the connection');
  const [second] = await listenWebTransport({ ...options, port });
  assert.equal(second?.address.port, port);
  await second.close();
});

test('other requests are refused, and nobody hears of them', async (t) => {
  const { connections, port } = await echoListener(t);
  const http2 = await strangeClient(t, port);
  assert.equal(await statusOf(request(http2, { ...WANTED, ':path': '/elsewhere' })), 404);
  assert.equal(await statusOf(request(http2, { ':path': WEBTRANSPORT_PATH })), 404);
  assert.equal(await statusOf(request(http2, { ...WANTED, ':protocol': 'websocket' })), 404);
  assert.equal(connections.length, 0);
});

test('one TCP connection carries one WebTransport connection', async (t) => {
  const { connections, port } = await echoListener(t);
  const http2 = await strangeClient(t, port);
  const first = request(http2, WANTED);
  assert.equal(await statusOf(first), 200);
  assert.equal(http2.remoteSettings.maxConcurrentStreams, 1);
  first.close();
  await soon(once(first, 'close'), 'the end of the first');
  const second = request(http2, WANTED);
  await soon(closeOf(second), 'the refusal');
  assert.equal(connections.length, 1);
});

test('a client may open so many streams, and no more; the others go on', async (t) => {
  const { trust, port } = await echoListener(t);
  const client = await dialWebTransport({ host: LOOPBACK, port, trust });
  t.after(() => client.close('the test is over'));
  const streams = Array.from({ length: WEBTRANSPORT_STREAMS_MAX }, () => client.openStream());
  assert.throws(() => client.openStream(), failsWith('DST_E_CONNECTION_LOST'));
  const [last] = streams.slice(-1);
  const echo = new Promise((resolve) => last?.onData(resolve));
  last?.write([Buffer.from('here')]);
  assert.equal(String(await soon(echo, 'the echo')), 'here');
});

/** Capsules that a stranger can send, by type, length, and what follows. */
const BROKEN_CAPSULES: [string, Buffer][] = [
  ['an end without a code', Buffer.concat([capsule(0x2843, Buffer.alloc(0)), Buffer.alloc(64)])],
  ['a stream that only the export may open', capsule(0x190b4d3b, Buffer.from([0x04, 1, 2]))],
  ['a stream in one direction', capsule(0x190b4d3b, Buffer.from([0x03, 1, 2]))],
  ['a stream far beyond what is allowed', capsule(0x190b4d3b, varint(0x3fff_ffff))],
  ['a datagram of 64 MiB', Buffer.concat([Buffer.from([0]), varint(64 << 20), Buffer.alloc(8192)])],
];

/** A QUIC variable-length integer (RFC 9000, 16), of 4 bytes. */
function varint(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((value | 0x8000_0000) >>> 0);
  return bytes;
}

function capsule(type: number, value: Buffer): Buffer {
  return Buffer.concat([varint(type), varint(value.length), value]);
}

for (const [what, bytes] of BROKEN_CAPSULES) {
  test(`${what} ends the connection, and nothing else`, async (t) => {
    const { reasons, trust, port } = await echoListener(t);
    const stream = request(await strangeClient(t, port), WANTED);
    assert.equal(await statusOf(stream), 200);
    stream.write(bytes);
    await until(() => reasons.length === 1, 'the end');
    await echoes(port, trust);
  });
}

test('garbage on the port disturbs nobody', async (t) => {
  const { connections, trust, port } = await echoListener(t);
  const ended: Promise<unknown>[] = [];
  for (const text of [
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    '\x16\x03\x01\x02',
    '\0'.repeat(70_000),
  ]) {
    const socket = connectTcp(port, LOOPBACK);
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(text, 'latin1');
    if (text.length !== 4) ended.push(closeOf(socket.resume()));
  }
  await soon(Promise.all(ended), 'the end of the connections');
  await echoes(port, trust);
  assert.equal(connections.length, 1);
});

test('clients without HTTP/2 or TLS 1.3 are refused', async (t) => {
  const { port } = await echoListener(t);
  for (const options of [
    { ALPNProtocols: ['http/1.1'] },
    {},
    { ALPNProtocols: ['h2'], maxVersion: 'TLSv1.2' as const },
  ]) {
    const socket = connectTls({ host: LOOPBACK, port, rejectUnauthorized: false, ...options });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    await soon(closeOf(socket.resume()), 'the refusal');
  }
});

test('clients that connect and say nothing keep nobody out, and no more than a bound of them stay', async (t) => {
  const { trust, port } = await echoListener(t);
  const idle = new Set<Socket>();
  t.after(() => {
    for (const socket of idle) socket.destroy();
  });
  for (let i = 0; i < 300; i++) {
    const socket = connectTcp(port, LOOPBACK);
    socket.on('error', () => {});
    socket.once('close', () => idle.delete(socket));
    await soon(once(socket, 'connect'), 'the connection');
    idle.add(socket);
  }
  await until(() => idle.size <= 256, 'the end of the oldest');
  await echoes(port, trust);
});
