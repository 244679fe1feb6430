/** The peer of `make bench` as a whole: nbdkit's proxy, NBD over TLS, and qemu-nbd with a file. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { folderWithCertificates, type Running, startProgram } from '../../cli/command.js';
import type { Cleanup } from '../../support/cleanup.js';
import { makeSparse } from '../../support/end-to-end.js';
import { until } from '../../support/wait.js';
import { closedPort } from '../../transport/fixtures.js';

export interface TlsPeer {
  /** Where fio connects. */
  readonly uri: string;
  readonly processes: readonly Running[];
}

export async function startTlsPeer(t: Cleanup, sizeBytes: number): Promise<TlsPeer> {
  const folder = await folderWithCertificates(t);
  const credentials = join(folder, 'credentials');
  mkdirSync(credentials);
  for (const [ours, theirs] of CREDENTIALS) {
    copyFileSync(join(folder, 'certs', ours), join(credentials, theirs));
  }
  const image = join(folder, 'peer.img');
  const socket = join(folder, 'peer.sock');
  makeSparse(image, sizeBytes);
  const port = await closedPort();
  const server = startProgram(t, 'qemu-nbd', [
    ...['--format=raw', '--cache=writeback', '--persistent', '--shared=8'],
    ...['--bind=127.0.0.1', `--port=${port}`, '--tls-creds=tls'],
    ...['--object', `tls-creds-x509,id=tls,dir=${credentials},endpoint=server,verify-peer=no`],
    image,
  ]);
  await until(() => listens(port), 'qemu-nbd to listen');
  const proxy = startProgram(t, 'nbdkit', [
    ...['--foreground', '--unix', socket, 'nbd', 'hostname=127.0.0.1', `port=${port}`],
    ...['tls=require', `tls-certificates=${credentials}`],
  ]);
  await until(() => existsSync(socket), 'nbdkit to listen');
  return { uri: `nbd+unix:///?socket=${socket}`, processes: [proxy, server] };
}

const CREDENTIALS = [
  ['ca.pem', 'ca-cert.pem'],
  ['server.pem', 'server-cert.pem'],
  ['server-key.pem', 'server-key.pem'],
] as const;

function listens(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return spawnSync('grep', ['-q', `:${hex} 00000000:0000 0A`, '/proc/net/tcp']).status === 0;
}
