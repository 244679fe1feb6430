import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { HostAddresses } from '../../src/transport/host-addresses.js';
import type { Connection } from '../../src/transport/transport.js';
import { dialWebTransport } from '../../src/transport/webtransport/dial.js';
import type { Identity } from '../../src/trust/identity.js';
import type { ServerTrust } from '../../src/trust/server-trust.js';
import { runModule } from '../support/run-module.js';
import { soon, until } from '../support/wait.js';
import { certificatePem, keyPem, makeAuthority, makeServer } from '../trust/certificate-maker.js';
import {
  type Certificates,
  certificatesFor,
  closedPort,
  failsWith,
  webTransportListener,
} from './fixtures.js';

const HOUR_MS = 60 * 60 * 1000;
const LOOPBACK = '127.0.0.1';

/** Dials a listener that has this identity, and hangs up. */
async function dialOnce(
  t: TestContext,
  identity: Identity,
  trust: ServerTrust,
  options: { listen?: string; host?: string } = {},
): Promise<Connection> {
  const listener = await webTransportListener(
    t,
    identity,
    options.listen ? { host: options.listen } : {},
  );
  let connections = 0;
  listener.onConnection(() => connections++);
  const { port, address } = listener.address;
  try {
    const connection = await dialWebTransport({ host: options.host ?? address, port, trust });
    connection.close('seen');
    return connection;
  } catch (error) {
    assert.equal(connections, 0, 'something was sent before the certificate was accepted');
    throw error;
  }
}

/** A server of another kind on a free port, which ends with the test; and the port. */
async function listening<S extends Server | Http2SecureServer>(
  t: TestContext,
  server: S,
): Promise<{ server: S; port: number }> {
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket: { destroy(): void }) => sockets.add(socket));
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

function pem({ identity }: Certificates): { cert: Buffer; key: Buffer } {
  return { cert: identity.certificatePem, key: identity.keyPem };
}

for (const address of [LOOPBACK, '::1']) {
  test(`an address that the certificate has is accepted: ${address}`, async (t) => {
    const { identity, authority } = await certificatesFor(t, [address]);
    const connection = await dialOnce(t, identity, authority, { listen: address });
    assert.equal(connection.peer.address, address);
    assert.equal(connection.protocol, 'http/2');
    const fingerprint = identity.certificate.fingerprint256.replaceAll(':', '').toLowerCase();
    assert.equal(connection.serverCertificateSha256?.toString('hex'), fingerprint);
  });
}

test('a host name is resolved, its addresses tried in turn, and the name verified', async (t) => {
  const { identity, authority } = await certificatesFor(t, ['export.test']);
  const { port } = (await webTransportListener(t, identity)).address;
  const addresses = new HostAddresses('export.test', async () => ['127.0.0.2', LOOPBACK]);
  const host = 'export.test';
  const connection = await dialWebTransport({ host, port, trust: authority, addresses });
  connection.close('seen');
  assert.equal(connection.peer.address, LOOPBACK);
});

const refusals: [string, string, (t: TestContext) => Promise<[Identity, ServerTrust]>][] = [
  [
    'a certificate for other names',
    'DST_E_CERT_NAME',
    async (t) => {
      const { identity, authority } = await certificatesFor(t, ['192.0.2.1']);
      return [identity, authority];
    },
  ],
  [
    'a certificate of another authority',
    'DST_E_CERT_AUTHORITY',
    async (t) => {
      const { identity } = await certificatesFor(t, [LOOPBACK]);
      return [identity, (await certificatesFor(t, [LOOPBACK])).authority];
    },
  ],
  [
    'another certificate than the pinned one',
    'DST_E_CERT_PIN',
    async (t) => {
      const { identity } = await certificatesFor(t, [LOOPBACK]);
      return [identity, (await certificatesFor(t, [LOOPBACK])).pin];
    },
  ],
];

for (const [what, code, make] of refusals) {
  test(`${what} is refused before anything is sent`, async (t) => {
    const [identity, trust] = await make(t);
    await assert.rejects(dialOnce(t, identity, trust), failsWith(code as 'DST_E_CERT_NAME'));
  });
}

test('a peer with a wrong certificate gets not one byte beside TLS’s own', async (t) => {
  const shown = await certificatesFor(t, ['192.0.2.1']);
  const server = createTlsServer({ ...pem(shown), ALPNProtocols: ['h2'] });
  const received: Buffer[] = [];
  server.on('secureConnection', (socket) => {
    socket.on('data', (chunk) => received.push(chunk));
  });
  server.on('tlsClientError', () => {});
  const ended = new Promise((resolve) => {
    server.on('connection', (socket: Socket) => socket.once('close', resolve));
  });
  const { port } = await listening(t, server);
  const dial = dialWebTransport({ host: LOOPBACK, port, trust: shown.authority });
  await assert.rejects(dial, failsWith('DST_E_CERT_NAME'));
  await soon(ended, 'the end');
  assert.deepEqual(received, []);
});

test('the pinned certificate is accepted, whatever names it has', async (t) => {
  const { identity, pin } = await certificatesFor(t, ['elsewhere.example']);
  await dialOnce(t, identity, pin);
});

test('a certificate below an intermediate that the export shows is accepted', async (t) => {
  const dates = {
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: new Date(Date.now() + HOUR_MS),
  };
  const root = await makeAuthority(dates);
  const between = await makeAuthority({ ...dates, subject: 'CN=between', issuer: root });
  const server = await makeServer(between, dates);
  const identity: Identity = {
    certificatePem: Buffer.from(certificatePem(server) + certificatePem(between)),
    keyPem: Buffer.from(keyPem(server)),
    certificate: server.certificate,
  };
  const certificates = [root.certificate];
  await dialOnce(t, identity, { kind: 'authorities', path: 'ca.pem', certificates });
});

test('a name that does not resolve is told as such', async (t) => {
  const { authority: trust } = await certificatesFor(t, ['localhost']);
  const dial = dialWebTransport({ host: 'nowhere.invalid', port: 4433, trust });
  await assert.rejects(dial, failsWith('DST_E_RESOLVE'));
});

test('a port on which nothing listens is told at once', async (t) => {
  const { pin: trust } = await certificatesFor(t, ['localhost']);
  const dial = dialWebTransport({ host: LOOPBACK, port: await closedPort(), trust });
  await soon(assert.rejects(dial, failsWith('DST_E_REFUSED')), 'the rejection');
});

test('a machine without a way to the export says so at once', async (t) => {
  const { pin: trust } = await certificatesFor(t, ['localhost']);
  const dial = dialWebTransport({ host: 'fe80::1%nowhere', port: 1, trust });
  await soon(assert.rejects(dial, failsWith('DST_E_UNREACHABLE')), 'the rejection');
});

test('a port that never answers is given up after the time that was set', async (t) => {
  const { pin: trust } = await certificatesFor(t, ['localhost']);
  const { port } = await listening(t, createServer());
  const startMs = performance.now();
  const dial = dialWebTransport({ host: LOOPBACK, port, trust, timeoutMs: 200 });
  await assert.rejects(dial, failsWith('DST_E_UNREACHABLE'));
  const elapsedMs = performance.now() - startMs;
  assert.ok(elapsedMs >= 190 && elapsedMs < 30_000, `${elapsedMs} ms`);
});

test('something that does not speak TLS is told as no export', async (t) => {
  const { pin: trust } = await certificatesFor(t, ['localhost']);
  const { port } = await listening(
    t,
    createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  );
  const dial = dialWebTransport({ host: LOOPBACK, port, trust });
  await assert.rejects(dial, failsWith('DST_E_HANDSHAKE'));
});

test('something that ends each connection is told as no export', async (t) => {
  const { pin: trust } = await certificatesFor(t, ['localhost']);
  const { port } = await listening(
    t,
    createServer((socket) => socket.destroy()),
  );
  const dial = dialWebTransport({ host: LOOPBACK, port, trust });
  await assert.rejects(dial, failsWith('DST_E_HANDSHAKE'));
});

for (const [what, options] of [
  ['no HTTP/2', { ALPNProtocols: ['http/1.1'] }],
  ['no ALPN', {}],
  ['no TLS 1.3', { ALPNProtocols: ['h2'], maxVersion: 'TLSv1.2' }],
] satisfies [string, TlsOptions][]) {
  test(`something that speaks ${what} is told as no export`, async (t) => {
    const shown = await certificatesFor(t, [LOOPBACK]);
    const server = createTlsServer({ ...pem(shown), ...options });
    const { port } = await listening(t, server);
    const dial = dialWebTransport({ host: LOOPBACK, port, trust: shown.authority });
    await assert.rejects(dial, failsWith('DST_E_HANDSHAKE'));
  });
}

test('something that speaks HTTP/2 and no WebTransport is told as no export', async (t) => {
  const shown = await certificatesFor(t, [LOOPBACK]);
  const { port } = await listening(t, createSecureServer(pem(shown)));
  const dial = dialWebTransport({ host: LOOPBACK, port, trust: shown.authority });
  await assert.rejects(dial, failsWith('DST_E_HANDSHAKE'));
});

test('a WebTransport server that is no export is told as such', async (t) => {
  const shown = await certificatesFor(t, [LOOPBACK]);
  const settings = { enableConnectProtocol: true };
  const server = createSecureServer({ ...pem(shown), settings });
  server.on('stream', (stream) => stream.respond({ ':status': 404 }, { endStream: true }));
  const { port } = await listening(t, server);
  await assert.rejects(
    dialWebTransport({ host: LOOPBACK, port, trust: shown.authority }),
    /answered WebTransport with status 404/,
  );
});

test('a dial that is aborted rejects at once, and leaves no descriptor behind', async (t) => {
  const { pin: trust } = await certificatesFor(t, ['localhost']);
  const { server, port } = await listening(t, createServer());
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  for (let i = 0; i < 5; i++) {
    const abort = new AbortController();
    const { signal } = abort;
    const arrived = once(server, 'connection') as Promise<[Socket]>;
    const dial = dialWebTransport({ host: LOOPBACK, port, trust, timeoutMs: 60_000, signal });
    const rejected = assert.rejects(dial, failsWith('DST_E_ABORTED'));
    const [socket] = await soon(arrived, 'the connection');
    socket.on('error', () => {});
    abort.abort();
    await rejected;
    socket.destroy();
  }
  await until(() => descriptors() <= before, 'the end of the sockets');
});

test('a dial that was aborted before connects to nothing', async (t) => {
  const { pin: trust } = await certificatesFor(t, ['localhost']);
  const { server, port } = await listening(t, createServer());
  let connections = 0;
  server.on('connection', () => connections++);
  const dial = dialWebTransport({ host: LOOPBACK, port, trust, signal: AbortSignal.abort() });
  await assert.rejects(dial, failsWith('DST_E_ABORTED'));
  assert.equal(connections, 0);
});

test('dials that ended, and connections that did, keep no process alive', async (t) => {
  const { identity, pin } = await certificatesFor(t, ['localhost']);
  const { port } = (await webTransportListener(t, identity)).address;
  const { port: silentPort } = await listening(t, createServer());
  const dialUrl = new URL('../../src/transport/webtransport/dial.js', import.meta.url).href;
  const trustUrl = new URL('../../src/trust/server-trust.js', import.meta.url).href;
  const script = `
    import { dialWebTransport } from ${JSON.stringify(dialUrl)};
    import { loadServerTrust } from ${JSON.stringify(trustUrl)};
    const trust = loadServerTrust(${JSON.stringify(pin.path)});
    const dial = (port, timeoutMs) => dialWebTransport({ host: '127.0.0.1', port, trust, timeoutMs });
    const codes = [];
    for (const port of [${await closedPort()}, ${silentPort}]) {
      await dial(port, 100).catch((error) => codes.push(error.code));
    }
    const connection = await dial(${port}, 60_000);
    connection.openStream().write([Buffer.from('hello')]);
    connection.close('enough');
    console.log(codes.join(' '));`;
  assert.equal(await runModule(t, script), 'DST_E_REFUSED DST_E_UNREACHABLE');
});
