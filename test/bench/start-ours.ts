import { join } from 'node:path';
import type { Scheme } from '../../src/client/address.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import type { Ends, Setup } from './contenders.js';
import { fillWords } from './fio.js';
import type { Process } from './processes.js';
import { makeFilledFile, type Store } from './store.js';

const MAIN = join(REPOSITORY_ROOT, 'bin/dst-quic');
const EXPORT_NAME = 'bench';
const READY = /^ready (\S+)$/m;

export interface Ours {
  /** Of its files in the rig's folder. */
  readonly id: string;
  readonly scheme: Scheme;
  readonly store: Store;
}

/** An export and a client of it, both with their defaults. */
export async function startOurs(setup: Setup, { id, scheme, store }: Ours): Promise<Ends> {
  const { rig, place, sizeBytes, env = {} } = setup;
  const { serverCertificate, serverKey, caCertificate } = await rig.certificates;
  const image = join(rig.folder, `${id}.img`);
  if (store === 'file') makeFilledFile(image, sizeBytes);
  const source = store === 'file' ? image : `memory:${sizeBytes}`;
  const server = await rig.start(
    {
      name: 'dst-quic export',
      words: place.onServer([
        ...[MAIN, 'export', `${EXPORT_NAME}=${source}`, '--listen', `${place.serverHost}:0`],
        ...['--allow', place.clientNetwork, '--cert', serverCertificate, '--key', serverKey],
        ...setup.exportOptions,
      ]),
      env,
    },
    isReady,
  );
  const address = readyAddress(server).replace(/^[a-z]+:/, `${scheme}:`);
  const client = await rig.start(
    {
      name: 'dst-quic connect',
      words: place.onClient([
        ...[MAIN, 'connect', address, '--cert', caCertificate],
        ...['--socket', join(rig.folder, `${id}.sock`), ...setup.connectOptions],
      ]),
      env,
    },
    isReady,
  );
  const uri = readyAddress(client);
  if (store === 'memory') await rig.run(place.onClient(fillWords(uri, sizeBytes)), 'fio');
  return { uri, server, client };
}

function isReady({ output }: Process): boolean {
  return READY.test(output);
}

function readyAddress({ name, output }: Process): string {
  const address = READY.exec(output)?.[1];
  if (address === undefined) throw new Error(`${name} is not ready`);
  return address;
}
