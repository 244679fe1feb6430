import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { relative } from 'node:path';
import type { BlockDevice } from '../block/device.js';
import { isMemory, openDevice } from '../block/open-device.js';
import { DEFAULT_PORT, formatAddress, type HostPort } from '../client/address.js';
import { DstError } from '../errors.js';
import { ClaimFile } from '../export/claim-file.js';
import { ExportServer } from '../export/server.js';
import type { Store } from '../export/store.js';
import { SHUTDOWN_GRACE_MS } from '../limits.js';
import type { Log } from '../log.js';
import { startExportControl } from '../ops/export-control.js';
import { createLogger } from '../ops/logger.js';
import type { Listener } from '../transport/transport.js';
import { type IdentityPaths, loadServerIdentity } from '../trust/identity.js';
import { openDoor, warnOfLockedDoor } from './access-options.js';
import { allowedChecksums } from './checksum-options.js';
import { startCryptoThreads } from './crypto-threads.js';
import { UsageError } from './exit.js';
import type { ExportOptions } from './export.js';
import { reloadOnHangup } from './hangup.js';
import { parseLanesLimit } from './lanes-option.js';
import { listenEverywhere } from './listen-everywhere.js';
import { printLine } from './output.js';
import { readSecret } from './secret-option.js';
import { tellService } from './service.js';
import { stopRequested } from './shutdown.js';
import { stateFolder } from './state-folder.js';
import { parseStores, type StoreSpec } from './store-spec.js';
import { webTransportPlan } from './webtransport-options.js';

const LISTEN_DEFAULT: HostPort = { host: '127.0.0.1', port: DEFAULT_PORT };

/** Where `dst-quic cert` and `make certs` put them. */
const IDENTITY_DEFAULT: IdentityPaths = {
  certificatePath: 'certs/server.pem',
  keyPath: 'certs/server-key.pem',
};

/** Offers the stores until a signal comes; resolves when everything is flushed and closed. */
export async function runExport(texts: readonly string[], options: ExportOptions): Promise<void> {
  const specs = parseStores(texts, { name: options.name, sizeBytes: options.size });
  const checksums = await allowedChecksums(options, 'export');
  const paths = identityPaths(options);
  const log = await createLogger({ level: options.logLevel, format: options.logFormat });
  const { gate, clients } = openDoor(options, log);
  const places = options.listen ?? [LISTEN_DEFAULT];
  const web = webTransportPlan(options, places, clients !== undefined, log);
  const identity = loadServerIdentity(paths);
  const secret = await readSecret(options);
  const stores = await openStores(specs, options, log);
  await startCryptoThreads(options, log);
  // From here to `attach` nothing may wait: clients that come meanwhile are heard by nobody.
  const listeners = await listenEverywhere({ places, identity, clients, ...web, log });
  const { lease: leaseMs, shared = false, maxSessions: sessionsMax, lanes: lanesMax } = options;
  const server = new ExportServer({
    stores,
    checksums,
    secret,
    log,
    leaseMs,
    shared,
    gate,
    sessionsMax,
    lanesMax,
  });
  for (const listener of listeners) server.attach(listener);
  const ignoreHangups = reloadOnHangup(() => server.reread());

  // From here on clients may write: a signal must find somebody who flushes.
  const stop = stopRequested();
  const control = await startExportControl({
    status: () => ({
      pid: process.pid,
      stores: stores.map(({ name }) => name),
      lanes: server.lanesMax,
    }),
    limitLanes: (count) => server.limitLanes(parseLanesLimit('lanes', count)),
    log,
  });

  warnOfLockedDoor(options, listeners, log);
  announce(stores, listeners, trustHint(options, paths), log);
  await tellService('READY=1', log);
  log.info(`${await stop}: ending; another signal ends it at once`);
  ignoreHangups();
  await tellService('STOPPING=1', log);
  await control.close();
  await server.shutdown(SHUTDOWN_GRACE_MS);
  log.info('ended: everything that was written is on the disk');
}

function identityPaths({ cert, key }: ExportOptions): IdentityPaths {
  if (cert !== undefined && key !== undefined) return { certificatePath: cert, keyPath: key };
  if (cert !== undefined || key !== undefined) {
    throw new UsageError('--cert and --key go together: give both');
  }
  if (!existsSync(IDENTITY_DEFAULT.certificatePath)) {
    throw new DstError(
      'DST_E_CERT_FILE',
      `there is no ${IDENTITY_DEFAULT.certificatePath} here: make it with "dst-quic cert", or give --cert and --key`,
    );
  }
  return IDENTITY_DEFAULT;
}

async function openStores(
  specs: readonly StoreSpec[],
  options: ExportOptions,
  log: Log,
): Promise<Store[]> {
  const stores: Store[] = [];
  for (const { name, source } of specs) {
    const device: BlockDevice = await openDevice(source, {
      readOnly: options.readOnly ?? false,
      log,
      ...(options.size === undefined ? {} : { sizeBytes: options.size }),
    });
    const claimStore = await claimFile(source, device, options, log);
    stores.push({ name, device, ...(claimStore === undefined ? {} : { claimStore }) });
  }
  return stores;
}

/** None for what nobody claims, and for memory, which ends with the process. */
async function claimFile(
  source: string,
  device: BlockDevice,
  options: ExportOptions,
  log: Log,
): Promise<ClaimFile | undefined> {
  if (options.shared || device.capabilities.readOnly || isMemory(source)) return undefined;
  // The path as it was given, should the file have been moved since it was opened.
  const identity = await realpath(source).catch(() => source);
  return new ClaimFile({ folder: stateFolder(), identity, log });
}

function announce(
  stores: readonly Store[],
  listeners: readonly Listener[],
  trust: string,
  log: Log,
): void {
  for (const { name, device } of stores) {
    const { sizeBytes } = device.geometry;
    const { readOnly } = device.capabilities;
    log.info({ export: name, sizeBytes, readOnly }, `offering ${device.description} as "${name}"`);
  }
  const [first] = listeners;
  const [store] = stores;
  if (first === undefined || store === undefined) return;
  const { address: host, port } = first.address;
  const place = { scheme: 'quic', host, port } as const;
  for (const { name } of stores) printLine(`ready ${formatAddress(place, name)}`);
  printLine(`connect with: ${ownCommand()} connect ${formatAddress(place, store.name)} ${trust}`);
}

/** What a client on this machine gives `connect` to be let in. */
function trustHint(options: ExportOptions, { certificatePath }: IdentityPaths): string {
  const { clientCa, secretFile } = options;
  return [
    `--cert ${certificatePath}`,
    ...(secretFile === undefined ? [] : [`--secret-file ${secretFile}`]),
    ...(clientCa === undefined ? [] : ['--client-cert FILE --client-key FILE']),
  ].join(' ');
}

/** How this program was called, so that what is printed can be pasted. */
function ownCommand(): string {
  // Set by bin/dst-quic; else somebody ran the script with a node of his own.
  const { DST_QUIC_COMMAND: command } = process.env;
  if (command !== undefined) return command;
  const script = process.argv[1] ?? '';
  const fromHere = relative('', script);
  return `node ${fromHere.startsWith('..') ? script : fromHere}`;
}
