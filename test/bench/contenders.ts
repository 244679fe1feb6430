/**
 * Who is measured: dst-quic, and its peer by the same hops (a Unix socket, a proxy that
 * encrypts, a server with a file): nbdkit's nbd plugin over TLS to qemu-nbd.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateCertificates } from '../../src/trust/generate.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { Process } from './processes.js';

export interface Contender {
  readonly name: string;
  /** Where fio connects. */
  readonly uri: string;
  /** Client side first. */
  readonly processes: readonly Process[];
}

export interface Set {
  readonly ours: Contender;
  readonly peer: Contender;
  stop(): Promise<void>;
}

const MAIN = join(REPOSITORY_ROOT, 'bin/dst-quic');
const OUR_PORT = 14_433;
const PEER_PORT = 14_809;

/** Starts both contenders, each with a file of its own in `folder`. */
export async function startContenders(folder: string, sizeBytes: number): Promise<Set> {
  const { files } = await generateCertificates({
    directory: join(folder, 'certs'),
    hosts: ['127.0.0.1', 'localhost'],
    days: 2,
  });
  const ours = await startOurs(folder, sizeBytes, files);
  const peer = await startPeer(folder, sizeBytes, files);
  return {
    ours,
    peer,
    async stop() {
      for (const process of [...ours.processes, ...peer.processes]) await process.stop();
    },
  };
}

type CertificateFiles = Awaited<ReturnType<typeof generateCertificates>>['files'];

async function startOurs(
  folder: string,
  sizeBytes: number,
  files: CertificateFiles,
): Promise<Contender> {
  const socket = join(folder, 'ours.sock');
  const server = await Process.start(
    'dst-quic export',
    MAIN,
    [
      ...['export', join(folder, 'ours.img'), '--name', 'bench', '--size', String(sizeBytes)],
      ...['--listen', `127.0.0.1:${OUR_PORT}`],
      ...['--cert', files.serverCertificate, '--key', files.serverKey],
    ],
    (output) => output.includes('ready'),
  );
  const client = await Process.start(
    'dst-quic connect',
    MAIN,
    [
      ...['connect', `quic://127.0.0.1:${OUR_PORT}/bench`],
      ...['--cert', files.caCertificate, '--socket', socket],
      ...(process.env.BENCH_CHECKSUM ? ['--checksum', process.env.BENCH_CHECKSUM] : []),
    ],
    (output) => output.includes('ready'),
  );
  return {
    name: 'dst-quic',
    uri: `nbd+unix:///bench?socket=${socket}`,
    processes: [client, server],
  };
}

async function startPeer(
  folder: string,
  sizeBytes: number,
  files: CertificateFiles,
): Promise<Contender> {
  const image = join(folder, 'peer.img');
  const socket = join(folder, 'peer.sock');
  const credentials = join(folder, 'peer-certs');
  mkdirSync(credentials);
  copyFileSync(files.caCertificate, join(credentials, 'ca-cert.pem'));
  copyFileSync(files.serverCertificate, join(credentials, 'server-cert.pem'));
  copyFileSync(files.serverKey, join(credentials, 'server-key.pem'));
  writeFileSync(image, '');
  truncateSync(image, sizeBytes);
  const server = await Process.start(
    'qemu-nbd',
    'qemu-nbd',
    [
      ...['--format=raw', '--cache=writeback', '--persistent', '--shared=8'],
      ...['--bind=127.0.0.1', `--port=${PEER_PORT}`],
      ...['--object', `tls-creds-x509,id=tls,dir=${credentials},endpoint=server,verify-peer=no`],
      ...['--tls-creds=tls', image],
    ],
    () => listens(PEER_PORT),
  );
  const client = await Process.start(
    'nbdkit nbd',
    'nbdkit',
    [
      ...['--foreground', '--unix', socket, 'nbd', 'hostname=127.0.0.1', `port=${PEER_PORT}`],
      ...['tls=require', `tls-certificates=${credentials}`],
    ],
    () => existsSync(socket),
  );
  return { name: 'nbdkit TLS', uri: `nbd+unix:///?socket=${socket}`, processes: [client, server] };
}

function listens(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return spawnSync('grep', ['-q', `:${hex} 00000000:0000 0A`, '/proc/net/tcp']).status === 0;
}
