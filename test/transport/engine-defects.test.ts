/**
 * What we work around in the QUIC engine, asserted to be there still: a failure here says
 * that the engine changed, and that a workaround must be looked at again.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  connectQuic,
  createQuicServer,
  type QuicClientSession,
  type QuicServer,
} from '@currentspace/http3';
import { ENGINE_OPTIONS } from '../../src/transport/quic/options.js';
import { usePrivateFolder } from '../../src/transport/quic/private-folder.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { soon, until } from '../support/wait.js';
import { certificatesFor, temporaryDirectory } from './fixtures.js';

const HOST = '127.0.0.1';

/** Close codes: 256 and the TLS alert. */
const BAD_CERTIFICATE = 256 + 42;
const UNKNOWN_CA = 256 + 48;

async function engineServer(t: TestContext, hosts: string[]) {
  const { identity, authority, pin } = await certificatesFor(t, hosts);
  usePrivateFolder();
  const server: QuicServer = createQuicServer({
    ...ENGINE_OPTIONS,
    cert: identity.certificatePem,
    key: identity.keyPem,
  });
  const { port } = await server.listen(0, HOST);
  t.after(() => server.close());
  const connect = (servername: string, ca: string): QuicClientSession => {
    const session = connectQuic({ address: HOST, port, servername }, { ...ENGINE_OPTIONS, ca });
    session.on('error', () => {});
    session.ready().catch(() => {});
    t.after(() => session.close());
    return session;
  };
  const pemOf = ({ path }: { path: string }) => readFileSync(path, 'utf8');
  return { server, connect, authorityPem: pemOf(authority), pinPem: pemOf(pin) };
}

async function closeCode(session: QuicClientSession): Promise<number> {
  const [info] = await soon(once(session, 'close'), 'the refusal');
  return (info as { errorCode: number }).errorCode;
}

test('the version is pinned exactly, as private methods of it are used', () => {
  const read = (...names: string[]) =>
    JSON.parse(readFileSync(join(REPOSITORY_ROOT, ...names), 'utf8')) as {
      version: string;
      dependencies: Record<string, string>;
    };
  const wanted = read('package.json').dependencies['@currentspace/http3'];
  assert.equal(wanted, '0.9.0', 'run the tests of this file against the new version first');
  assert.equal(read('node_modules', '@currentspace', 'http3', 'package.json').version, wanted);
});

test('addresses in a certificate are not matched (C13), so we verify them ourselves', async (t) => {
  const { connect, authorityPem } = await engineServer(t, [HOST]);
  assert.equal(await closeCode(connect(HOST, authorityPem)), BAD_CERTIFICATE);
});

test('a pinned certificate is not accepted as its own authority, so we verify it ourselves', async (t) => {
  const { connect, pinPem } = await engineServer(t, ['localhost']);
  assert.equal(await closeCode(connect('localhost', pinPem)), UNKNOWN_CA);
});

test('names of an authority’s certificate are matched, so the engine verifies them too', async (t) => {
  const { connect, authorityPem } = await engineServer(t, ['localhost']);
  await soon(connect('localhost', authorityPem).ready(), 'the handshake');
  assert.equal(await closeCode(connect('other.example', authorityPem)), BAD_CERTIFICATE);
});

test('the system’s authorities count beside ours, and are read each time, so we name none', async (t) => {
  const { connect, authorityPem } = await engineServer(t, ['localhost']);
  const other = await certificatesFor(t, ['localhost']);
  const otherPem = readFileSync(other.authority.path, 'utf8');
  const path = join(temporaryDirectory(t), 'system.pem');
  writeFileSync(path, authorityPem);
  const named = process.env.SSL_CERT_FILE;
  assert.ok(named !== undefined && !existsSync(named));
  process.env.SSL_CERT_FILE = path;
  try {
    await soon(connect('localhost', otherPem).ready(), 'the handshake');
  } finally {
    process.env.SSL_CERT_FILE = named;
  }
  assert.equal(await closeCode(connect('localhost', otherPem)), UNKNOWN_CA);
});

interface Hooks {
  _pushData(chunk: Buffer | null): void;
  _onNativeDrain(): void;
  _onNativeWriteReady(): void;
  _onNativeBlocked(): void;
  _doSend(bytes: Buffer, fin: boolean): number;
}

test('the methods that our streams replace are there, and are called', async (t) => {
  const { server, connect, authorityPem } = await engineServer(t, ['localhost']);
  server.on('session', (session) => {
    session.on('stream', (stream: NodeJS.ReadWriteStream) => {
      stream.write('hello');
      stream.resume();
    });
  });
  const session = connect('localhost', authorityPem);
  await soon(session.ready(), 'the handshake');
  const stream = session.openStream() as unknown as Hooks;
  const called = { data: 0, roomAgain: 0 };
  stream._pushData = () => called.data++;
  stream._onNativeDrain = () => called.roomAgain++;
  stream._onNativeWriteReady = () => called.roomAgain++;
  assert.equal(typeof stream._onNativeBlocked, 'function');
  stream._onNativeBlocked = () => {};

  const piece = Buffer.alloc(64 * 1024);
  let full = false;
  for (let i = 0; i < 4096 && !full; i++) full = stream._doSend(piece, false) < piece.length;
  assert.ok(full, 'the engine takes no more at some point');
  await until(() => called.roomAgain > 0, 'room for more');
  await until(() => called.data > 0, 'data');
});
