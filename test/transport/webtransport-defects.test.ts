/**
 * What we work around in the WebTransport library, asserted to be there still: a failure here
 * says that the library changed, and that a workaround must be looked at again.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Connection, Stream } from '../../src/transport/transport.js';
import { dialWebTransport } from '../../src/transport/webtransport/dial.js';
import {
  type Engine,
  type EngineServer,
  type EngineStream,
  type EngineStreamEvent,
  type EngineTransportSession,
  http3Available,
  loadEngine,
} from '../../src/transport/webtransport/engine.js';
import { WEBTRANSPORT_PATH } from '../../src/transport/webtransport/options.js';
import { certificateSha256 } from '../../src/trust/fingerprint.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { soon, until } from '../support/wait.js';
import { type Certificates, certificatesFor, webTransportListener } from './fixtures.js';

const LOOPBACK = '127.0.0.1';
const URL_OPTIONS = { forceReliable: true };

/** The library's own client, connected to our listener. */
async function libraryClient(t: TestContext, options: object = {}) {
  const certificates = await certificatesFor(t, [LOOPBACK]);
  const listener = await webTransportListener(t, certificates.identity);
  const accepted = new Promise<Connection>((resolve) => listener.onConnection(resolve));
  const { WebTransport } = await loadEngine();
  const value = certificateSha256(certificates.identity.certificate);
  const client = new WebTransport(
    `https://${LOOPBACK}:${listener.address.port}${WEBTRANSPORT_PATH}`,
    {
      ...URL_OPTIONS,
      serverCertificateHashes: [{ algorithm: 'sha-256', value }],
      ...options,
    },
  );
  const { sessionint } = client;
  sessionint.closed.catch(() => {});
  t.after(() => sessionint.close({ closeCode: 0, reason: 'the test is over' }));
  await soon(sessionint.ready, 'the session');
  const native = sessionint.objint;
  assert.ok(native?.capsParser !== undefined);
  return { session: sessionint, native, parser: native.capsParser, accepted };
}

/** The first stream that the library's own client opens, with its WHATWG halves. */
async function firstStream({ session, accepted }: Awaited<ReturnType<typeof libraryClient>>) {
  const server = await soon(accepted, 'the connection');
  const incoming = new Promise<Stream>((resolve) => server.onStream(resolve));
  const { createBidirectionalStream } = session as unknown as {
    createBidirectionalStream(): Promise<{
      readable: ReadableStream<Uint8Array>;
      writable: WritableStream<Uint8Array>;
    }>;
  };
  const { readable, writable } = await createBidirectionalStream.call(session);
  return { readable, writable, incoming };
}

/** The library's own server, on a free port. */
async function libraryServer(t: TestContext, { identity }: Certificates): Promise<EngineServer> {
  const { Http2Server } = await loadEngine();
  const server = new Http2Server({
    host: LOOPBACK,
    port: 0,
    secret: 'of no use',
    cert: identity.certificatePem,
    privKey: identity.keyPem,
  });
  await server.createTransportInt();
  server.transportInt.startServer?.();
  await soon(server.ready, 'the server');
  t.after(() => server.stopServer());
  return server;
}

test('the version is pinned exactly, as methods below its interface are used', () => {
  const read = (...names: string[]) =>
    JSON.parse(readFileSync(join(REPOSITORY_ROOT, ...names), 'utf8')) as {
      version: string;
      dependencies: Record<string, string>;
      optionalDependencies: Record<string, string>;
    };
  const { dependencies, optionalDependencies } = read('package.json');
  const wanted = dependencies['@fails-components/webtransport'];
  assert.equal(wanted, '1.6.8', 'run the tests of this file against the new version first');
  assert.equal(
    optionalDependencies['@fails-components/webtransport-transport-http3-quiche'],
    wanted,
  );
  const installed = read('node_modules', '@fails-components', 'webtransport', 'package.json');
  assert.equal(installed.version, wanted);
});

async function outputOf(t: TestContext, script: string): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: REPOSITORY_ROOT,
    env: { PATH: process.env.PATH ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.on('data', (chunk) => {
      output += chunk;
    });
  }
  const [status] = await soon(once(child, 'close'), 'the end of the process');
  assert.equal(status, 0, output);
  return output;
}

const NO_NOISE = (await http3Available()) && 'the library has its binary, and is quiet';

test('without its binary it prints to the console from two modules (W1)', {
  skip: NO_NOISE,
}, async (t) => {
  const output = await outputOf(t, `await import('@fails-components/webtransport');`);
  assert.equal(output.match(/^http3 loader:/gm)?.length, 2);
  assert.match(output, /^Problem loading http3-quiche transport$/m);
  assert.match(output, /^Did you install .*http3-quiche\?$/m);
});

test('we keep that away, and the console as it was', async (t) => {
  const url = new URL('../../src/transport/webtransport/engine.js', import.meta.url).href;
  const script = `
    import { loadEngine } from ${JSON.stringify(url)};
    const { log, error } = console;
    const loading = loadEngine();
    console.log('another’s line');
    await loading;
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (console.log !== log || console.error !== error) console.log('changed');`;
  assert.equal(await outputOf(t, script), 'another’s line\n');
});

test('its client trusts no authority of ours (W3), so we verify and connect ourselves', async (t) => {
  const { WebTransport } = await loadEngine();
  const { identity } = await certificatesFor(t, [LOOPBACK]);
  const { port } = (await webTransportListener(t, identity)).address;
  const { sessionint } = new WebTransport(`https://${LOOPBACK}:${port}/`, URL_OPTIONS);
  sessionint.closed.catch(() => {});
  await assert.rejects(soon(sessionint.ready, 'the refusal'), /handshake failed/);
});

test('its server holds sessions to 16 KiB without a request callback (W6)', async (t) => {
  const certificates = await certificatesFor(t, [LOOPBACK]);
  const server = await libraryServer(t, certificates);
  const { addPath } = server.transportInt as unknown as { addPath(path: string): void };
  addPath.call(server.transportInt, WEBTRANSPORT_PATH);
  const made = new Promise<EngineTransportSession>((resolve) => {
    const onSession = server.onHttpWTSessionVisitor.bind(server);
    server.onHttpWTSessionVisitor = (event) => {
      onSession(event);
      resolve(event.session);
    };
  });
  const { WebTransport } = await loadEngine();
  const value = certificateSha256(certificates.identity.certificate);
  const port = server.address()?.port;
  const { sessionint } = new WebTransport(`https://${LOOPBACK}:${port}${WEBTRANSPORT_PATH}`, {
    ...URL_OPTIONS,
    serverCertificateHashes: [{ algorithm: 'sha-256', value }],
  });
  t.after(() => sessionint.close({ closeCode: 0, reason: 'the test is over' }));
  await soon(sessionint.ready, 'the session');
  const { flowController } = (await made) as unknown as {
    flowController: { receiveWindowOffset: bigint };
  };
  // It told its client 16 KiB, and sends an update once half of this is used.
  assert.equal(flowController.receiveWindowOffset, 15n * 1024n * 1024n);
});

test('a write is done before its bytes are copied, so we copy them', async (t) => {
  const { writable, incoming } = await firstStream(await libraryClient(t));
  const bytes = Buffer.alloc(8 * 1024, 'a');
  const received: Buffer[] = [];
  await writable.getWriter().write(bytes);
  bytes.fill('b');
  (await soon(incoming, 'the stream')).onData((chunk) => received.push(chunk));
  await until(() => Buffer.concat(received).length === bytes.length, 'the bytes');
  assert.ok(Buffer.concat(received).includes('b'));
});

test('what is read goes to the start of the memory that a buffer lies in', async (t) => {
  const { session, native, accepted } = await libraryClient(t);
  (await soon(accepted, 'the connection')).onStream((stream) => stream.write([Buffer.from('hi')]));
  const memory = Buffer.alloc(64);
  const read = new Promise<void>((resolve) => {
    session.onStream = ({ stream }: EngineStreamEvent) => {
      stream.jsobj = {
        parentobj: session,
        getReadBuffer: ({ byteSize }) => ({
          buffer: memory.subarray(32, 32 + byteSize),
          readBytes: 0,
          fin: false,
        }),
        commitReadBuffer: () => {
          resolve();
          return {};
        },
        onStreamWrite: () => {},
        onStreamRecvSignal: () => {},
        onStreamNetworkFinish: () => {},
      };
      stream.startReading();
    };
  });
  native.orderBidiStream({ waitUntilAvailable: false });
  await soon(read, 'the bytes');
  assert.equal(memory.subarray(0, 2).toString(), 'hi');
});

test('some capsules make it throw, so they are read under guard', async (t) => {
  const { parser } = await libraryClient(t);
  // WT_CLOSE_SESSION of no bytes at all, and then others.
  const capsule = Buffer.concat([Buffer.from([0x68, 0x43, 0]), Buffer.alloc(16)]);
  assert.throws(() => parser.parseData(capsule), RangeError);
});

test('a stream that only it may open makes it throw, so we look at them first', async (t) => {
  const { session } = await libraryClient(t);
  const stream = { startReading: () => {}, drainReads: () => {} } as unknown as EngineStream;
  assert.throws(
    () => session.onStream({ stream, incoming: false, bidirectional: true }),
    /without asking/,
  );
});

test('it keeps a datagram of 1 MiB until it has come whole, so that is bounded', async (t) => {
  const { parser } = await libraryClient(t, { initialSessionFlowControlWindow: 1024 * 1024 });
  parser.parseData(Buffer.concat([Buffer.from([0, 0x80, 0x10, 0, 0]), Buffer.alloc(32 * 1024)]));
  assert.ok((parser.saveddata?.length ?? 0) > 32 * 1024);
});

test('a peer that says it drains gets no more window updates, so that is not passed on', async (t) => {
  const { session, native } = await libraryClient(t);
  const { connected } = native as unknown as { connected(): boolean };
  assert.equal(connected.call(native), true);
  session.onGoAwayReceived({});
  assert.equal(connected.call(native), false);
});

// ---- Where we speak to the library's own layers, which browsers are like ----------------

test('its own client and our listener understand each other', async (t) => {
  const { readable, writable, incoming } = await firstStream(await libraryClient(t));
  await writable.getWriter().write(Buffer.from('there'));
  const stream = await soon(incoming, 'the stream');
  stream.onData((chunk) => stream.write([chunk, Buffer.from(' and back')]));
  const { value } = await soon(readable.getReader().read(), 'the answer');
  assert.equal(Buffer.from(value ?? []).toString(), 'there and back');
});

test('our client and its own server understand each other', async (t) => {
  const certificates = await certificatesFor(t, [LOOPBACK]);
  const server = await libraryServer(t, certificates);
  server.setRequestCallback(async () => ({ status: 200, path: WEBTRANSPORT_PATH }));
  const onSession = server.onHttpWTSessionVisitor.bind(server);
  server.onHttpWTSessionVisitor = (event) => {
    onSession(event);
    void echoFirst(event.session.jsobj);
  };
  const port = server.address()?.port ?? 0;
  const trust = certificates.pin;
  const connection = await dialWebTransport({ host: LOOPBACK, port, trust });
  t.after(() => connection.close('the test is over'));
  const stream = connection.openStream();
  const received: Buffer[] = [];
  stream.onData((chunk) => received.push(chunk));
  // More than the library's windows at their start.
  const bytes = Buffer.alloc(256 * 1024, 'over and over ');
  stream.write([bytes]);
  await until(() => Buffer.concat(received).length === bytes.length, 'the echo');
  assert.ok(Buffer.concat(received).equals(bytes));
});

/** Echoes what comes on the first stream of a session, by the library's WHATWG streams. */
async function echoFirst(session: EngineTransportSession['jsobj']): Promise<void> {
  const { incomingBidirectionalStreams } = session as unknown as {
    incomingBidirectionalStreams: ReadableStream<{
      readable: ReadableStream<Uint8Array>;
      writable: WritableStream<Uint8Array>;
    }>;
  };
  const { value } = await incomingBidirectionalStreams.getReader().read();
  await value?.readable.pipeTo(value.writable).catch(() => {});
}

/** So that a change of what the package exports is noticed at once. */
test('it exports what we use', async () => {
  const engine = (await loadEngine()) as unknown as Record<keyof Engine, unknown>;
  for (const name of ['WebTransport', 'Http2Server', 'Http3Server'] as const) {
    assert.equal(typeof engine[name], 'function', name);
  }
});
