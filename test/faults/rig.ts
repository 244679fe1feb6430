/**
 * What each scenario finds running:
 *
 * ```
 *   load ---> connect ---> link ---> export ---> store.img
 *      Unix socket     a relay of ours, or two network namespaces
 * ```
 */
import { join } from 'node:path';
import type { Scheme } from '../../src/client/address.js';
import { folderWithCertificates } from '../cli/command.js';
import type { Cleanup } from '../support/cleanup.js';
import { MIB, makeSparse } from '../support/end-to-end.js';
import { Load, type LoadOptions } from './load.js';
import { Namespaces } from './namespaces.js';
import { NbdClient } from './nbd-client.js';
import { ClientProcess, ExportProcess, STORE_NAME } from './processes.js';
import type { Relay } from './relay.js';
import { TcpRelay } from './tcp-relay.js';
import { UdpRelay } from './udp-relay.js';

/** Small, so that blocks are often written anew: a late copy of an old write then shows. */
const STORE_BYTES = 8 * MIB;

export interface Rig {
  /** The file behind the export. */
  readonly storePath: string;
  readonly exporting: ExportProcess;
  readonly client: ClientProcess;
  readonly load: Load;
  /** Connections of client and export that are in use, as far as can be seen from outside. */
  connectionsAlive(): number;
}

/** A rig whose link is a relay, of the kind that its scheme needs. */
export interface RelayRig<Kind = Relay> extends Rig {
  readonly relay: Kind;
}

/** A rig whose client is a machine of its own, with two ways to the export's. */
export interface NamespaceRig extends Rig {
  readonly namespaces: Namespaces;
}

/** Pings go each 2 s where nothing else does; in these scenarios the load never stops. */
const ALIVE_WITHIN_MS = 1_000;

export interface RigOptions {
  readonly load?: Partial<LoadOptions>;
  /** More arguments of the client. */
  readonly connectArgs?: readonly string[];
}

/** One lane unless asked: what leaks is counted before and after, and "auto" may change its mind. */
function clientArgs({ connectArgs = [] }: RigOptions): string[] {
  return connectArgs.includes('--lanes') ? [...connectArgs] : ['--lanes', '1', ...connectArgs];
}

export function startUdpRig(t: Cleanup, options: RigOptions): Promise<RelayRig<UdpRelay>> {
  return startRelayRig(t, 'quic', (port) => UdpRelay.start(t, port), options);
}

export function startTcpRig(t: Cleanup, options: RigOptions): Promise<RelayRig<TcpRelay>> {
  return startRelayRig(t, 'https', (port) => TcpRelay.start(t, port), options);
}

async function startRelayRig<Kind extends Relay>(
  t: Cleanup,
  scheme: Scheme,
  startRelay: (port: number) => Promise<Kind>,
  options: RigOptions,
): Promise<RelayRig<Kind>> {
  const { folder, storePath } = await newStore(t);
  const exporting = await ExportProcess.start(t, { folder, storePath, host: '127.0.0.1' });
  const relay = await startRelay(exporting.address.port);
  const place = { scheme, host: '127.0.0.1', port: relay.port };
  const client = await ClientProcess.start(t, folder, place, { args: clientArgs(options) });
  return {
    storePath,
    exporting,
    client,
    relay,
    load: await newLoad(t, client, options.load ?? {}),
    connectionsAlive: () => relay.connectionsAlive(ALIVE_WITHIN_MS),
  };
}

export async function startNamespaceRig(
  t: Cleanup,
  scheme: Scheme,
  options: RigOptions,
): Promise<NamespaceRig> {
  const namespaces = Namespaces.start(t);
  const { folder, storePath } = await newStore(t);
  const exporting = await ExportProcess.start(t, {
    folder,
    storePath,
    host: namespaces.exportHost,
    args: ['--allow', namespaces.clientNetworks],
    launch: namespaces.launchOnExport,
  });
  const place = { scheme, ...exporting.address };
  const client = await ClientProcess.start(t, folder, place, {
    args: clientArgs(options),
    launch: namespaces.launchOnClient,
  });
  return {
    storePath,
    exporting,
    client,
    namespaces,
    load: await newLoad(t, client, options.load ?? {}),
    // Nobody is between the two who could count.
    connectionsAlive: () => 1,
  };
}

async function newStore(t: Cleanup): Promise<{ folder: string; storePath: string }> {
  const folder = await folderWithCertificates(t);
  const storePath = join(folder, 'store.img');
  makeSparse(storePath, STORE_BYTES);
  return { folder, storePath };
}

async function newLoad(
  t: Cleanup,
  client: ClientProcess,
  options: Partial<LoadOptions>,
): Promise<Load> {
  const device = await NbdClient.connect(client.socketPath, STORE_NAME);
  const load = new Load(device, options);
  t.after(() => {
    load.abandon();
    device.close();
  });
  return load;
}
