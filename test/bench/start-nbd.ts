/** Our peers: NBD over TCP, with TLS between nbdkit's nbd plugin and a server, and without. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Ends, Setup } from './contenders.js';
import { fillWords } from './fio.js';
import { freePort, listensAt } from './ports.js';
import type { Process } from './processes.js';
import { makeFilledFile, type Store } from './store.js';

/** The same hops as ours: a Unix socket, a client that encrypts, a server with the storage. */
export async function startTlsNbd(setup: Setup, store: Store): Promise<Ends> {
  const { rig, place, sizeBytes } = setup;
  const credentials = await credentialsFolder(setup);
  const port = await freePort();
  const server =
    store === 'file'
      ? await startQemuNbd(setup, port, [
          ...[
            '--object',
            `tls-creds-x509,id=tls,dir=${credentials},endpoint=server,verify-peer=no`,
          ],
          '--tls-creds=tls',
        ])
      : await startNbdkitMemory(setup, port, credentials);
  const socket = join(rig.folder, `nbd-tls-${store}.sock`);
  const client = await rig.start(
    {
      name: 'nbdkit nbd',
      words: place.onClient([
        ...['nbdkit', '--foreground', '--exit-with-parent', '--unix', socket, 'nbd'],
        ...[`hostname=${place.serverHost}`, `port=${port}`],
        ...['tls=require', `tls-certificates=${credentials}`],
      ]),
    },
    () => existsSync(socket),
  );
  const uri = `nbd+unix:///?socket=${socket}`;
  if (store === 'memory') await rig.run(place.onClient(fillWords(uri, sizeBytes)), 'fio');
  return { uri, server, client };
}

/** Nothing between fio and the server but TCP. */
export async function startPlainNbd(setup: Setup): Promise<Ends> {
  const port = await freePort();
  const server = await startQemuNbd(setup, port, []);
  return { uri: `nbd://${setup.place.serverHost}:${port}/`, server };
}

function startQemuNbd(setup: Setup, port: number, args: readonly string[]): Promise<Process> {
  const { rig, place, sizeBytes } = setup;
  const image = join(rig.folder, `qemu-nbd-${port}.img`);
  makeFilledFile(image, sizeBytes);
  const words = [
    ...['qemu-nbd', '--format=raw', '--cache=writeback', '--persistent', '--shared=8'],
    ...[`--bind=${place.serverHost}`, `--port=${port}`, ...args, image],
  ];
  return rig.start({ name: 'qemu-nbd', words: place.onServer(words) }, listensAt(port));
}

function startNbdkitMemory(setup: Setup, port: number, credentials: string): Promise<Process> {
  const { rig, place, sizeBytes } = setup;
  const words = [
    ...['nbdkit', '--foreground', '--exit-with-parent'],
    ...[`--ipaddr=${place.serverHost}`, `--port=${port}`],
    ...['--tls=require', `--tls-certificates=${credentials}`, 'memory', `size=${sizeBytes}`],
  ];
  return rig.start({ name: 'nbdkit memory', words: place.onServer(words) }, listensAt(port));
}

/** The certificates under the names that qemu and nbdkit look for. */
async function credentialsFolder({ rig }: Setup): Promise<string> {
  const files = await rig.certificates;
  const folder = join(rig.folder, 'nbd-certs');
  mkdirSync(folder, { recursive: true });
  copyFileSync(files.caCertificate, join(folder, 'ca-cert.pem'));
  copyFileSync(files.serverCertificate, join(folder, 'server-cert.pem'));
  copyFileSync(files.serverKey, join(folder, 'server-key.pem'));
  return folder;
}
