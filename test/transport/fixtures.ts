import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { DstError, type DstErrorCode } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { listenQuic } from '../../src/transport/quic/listen.js';
import type { Connection, Listener } from '../../src/transport/transport.js';
import { dialWebTransport } from '../../src/transport/webtransport/dial.js';
import { listenWebTransport } from '../../src/transport/webtransport/listen.js';
import { generateCertificates } from '../../src/trust/generate.js';
import { type Identity, loadServerIdentity } from '../../src/trust/identity.js';
import { loadServerTrust, type ServerTrust } from '../../src/trust/server-trust.js';
import { skipWithoutHttp3 } from '../support/tools.js';
import { soon } from '../support/wait.js';

/** A fresh directory that is gone after the test. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'dst-quic-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface Certificates {
  readonly identity: Identity;
  readonly authority: ServerTrust;
  readonly pin: ServerTrust;
}

/** An authority and a server's certificate for these hosts. */
export async function certificatesFor(t: TestContext, hosts: string[]): Promise<Certificates> {
  const { files } = await generateCertificates({
    directory: temporaryDirectory(t),
    hosts,
    days: 1,
  });
  return {
    identity: loadServerIdentity({
      certificatePath: files.serverCertificate,
      keyPath: files.serverKey,
    }),
    authority: loadServerTrust(files.caCertificate),
    pin: loadServerTrust(files.serverCertificate),
  };
}

/** One QUIC listener on a free port, which ends with the test. */
export async function quicListener(
  t: TestContext,
  identity: Identity,
  host = '127.0.0.1',
): Promise<Listener> {
  const [listener] = await listenQuic({ host, port: 0, identity, log: silentLog });
  if (listener === undefined) throw new Error(`nothing listens on ${host}`);
  t.after(() => listener.close());
  return listener;
}

/** One WebTransport listener on a free port, which ends with the test. */
export async function webTransportListener(
  t: TestContext,
  identity: Identity,
  options: { host?: string; protocol?: 'http/2' | 'http/3' } = {},
): Promise<Listener> {
  const { host = '127.0.0.1', protocol = 'http/2' } = options;
  const all = await listenWebTransport({ host, port: 0, identity, log: silentLog, protocol });
  const [listener] = all;
  if (listener === undefined) throw new Error(`nothing listens on ${host}`);
  t.after(() => listener.close());
  return listener;
}

/** A UDP port of this machine on which nothing listens. */
export async function closedPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

export interface Transport {
  readonly name: string;
  /** What its connections call it. */
  readonly transport: Connection['transport'];
  /** Why it cannot be had here. */
  readonly skip?: string | false;
  /** A listener, and a way to dial it; both end with the test. */
  start(t: TestContext): Promise<{ listener: Listener; dial: () => Promise<Connection> }>;
}

export const TRANSPORTS: readonly Transport[] = [
  {
    name: 'memory',
    transport: 'memory',
    async start(t) {
      const network = new MemoryNetwork();
      t.after(() => network.cut());
      return { listener: network.listen(), dial: () => network.dial() };
    },
  },
  {
    name: 'quic',
    transport: 'quic',
    async start(t) {
      const { identity, authority } = await certificatesFor(t, ['127.0.0.1']);
      const listener = await quicListener(t, identity);
      const { port } = listener.address;
      const dial = async () => {
        const connection = await dialQuic({ host: '127.0.0.1', port, trust: authority });
        t.after(() => connection.close('the test is over'));
        return connection;
      };
      return { listener, dial };
    },
  },
  webTransport('http/2', false),
  webTransport('http/3', await skipWithoutHttp3()),
];

function webTransport(protocol: 'http/2' | 'http/3', skip: string | false): Transport {
  return {
    name: `webtransport over ${protocol}`,
    transport: 'webtransport',
    skip,
    async start(t) {
      const { identity, authority } = await certificatesFor(t, ['127.0.0.1']);
      const listener = await webTransportListener(t, identity, { protocol });
      const { port } = listener.address;
      const dial = async () => {
        const protocols = [protocol];
        const trust = authority;
        const connection = await dialWebTransport({ host: '127.0.0.1', port, trust, protocols });
        t.after(() => connection.close('the test is over'));
        return connection;
      };
      return { listener, dial };
    },
  };
}

/** Both ends of one connection. */
export async function connectedPair(
  t: TestContext,
  transport: Transport,
): Promise<{ client: Connection; server: Connection }> {
  const { listener, dial } = await transport.start(t);
  const accepted = new Promise<Connection>((resolve) => listener.onConnection(resolve));
  const client = await dial();
  return { client, server: await soon(accepted, 'the connection') };
}

/** For `assert.rejects` and `assert.throws`: a `DstError` with this code. */
export function failsWith(code: DstErrorCode): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof DstError && error.code === code) return true;
    throw error;
  };
}
