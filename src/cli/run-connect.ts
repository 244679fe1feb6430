import { resolve } from 'node:path';
import { RemoteDevice } from '../client/remote-device.js';
import { describeRoute, type Route, routeFields } from '../client/route/route.js';
import type { SessionOptions } from '../client/session.js';
import { SessionIdentity } from '../client/session-identity.js';
import { DstError } from '../errors.js';
import { SHUTDOWN_GRACE_MS } from '../limits.js';
import type { Log } from '../log.js';
import { Bridge, type BridgeOptions } from '../nbd/bridge.js';
import { bridgeSocketPath, checkSocketPath } from '../nbd/unix-socket.js';
import { createLogger } from '../ops/logger.js';
import { resolvesWithin } from '../within.js';
import { allowedChecksums } from './checksum-options.js';
import { clientIdentity } from './client-identity-option.js';
import type { ConnectOptions } from './connect.js';
import { startCryptoThreads } from './crypto-threads.js';
import { roamingDialer } from './dialer.js';
import { parseStore } from './options.js';
import { outageSettings } from './outage-options.js';
import { printLine } from './output.js';
import { readSecret } from './secret-option.js';
import { tellService } from './service.js';
import { stopRequested } from './shutdown.js';
import { waitOrStop } from './wait-or-stop.js';

/** Serves a remote store until a signal comes; resolves when what was written is flushed. */
export async function runConnect(address: string, options: ConnectOptions): Promise<void> {
  const { exportName, ...place } = parseStore(address);
  const checksums = await allowedChecksums(options, 'client');
  const secret = await readSecret(options);
  const identity = clientIdentity(options);
  const log = await createLogger({ level: options.logLevel, format: options.logFormat });
  const route = roamingDialer({ place, certificatePath: options.cert, identity, log });
  const readOnly = options.readOnly ?? false;
  const listen = await placeToListen(options, exportName);
  if (options.replayBuffer === 0 && !readOnly) warnOfNoReplay(log);
  const settings = outageSettings(options);
  await startCryptoThreads(options, log);
  const session = { ...route, ...settings, exportName, checksums, secret, readOnly, log };
  const device = options.wait ? await waitToConnect(session) : await RemoteDevice.connect(session);
  if (device === undefined) return;
  sayConnected(device, route.currentRoute(), log);
  const bridge = await serve(device, { exportName, listen, log });

  const stop = stopRequested();
  printLine(`ready ${bridge.uri}`);
  await tellService('READY=1', log);
  const reason = await Promise.race([stop, device.session.refused]);
  if (reason instanceof DstError) {
    await outliveSession(bridge, reason, stop, log);
    await device.close();
    throw reason;
  }
  log.info(`${reason}: ending; another signal ends it at once`);
  await tellService('STOPPING=1', log);
  await end(bridge, device, SHUTDOWN_GRACE_MS);
  log.info('ended: everything that was written is on the export');
}

function sayConnected(device: RemoteDevice, route: Route | undefined, log: Log): void {
  const { sizeBytes } = device.geometry;
  const by = route === undefined ? '' : ` by ${describeRoute(route)}`;
  log.info(
    { sizeBytes, ...(route && routeFields(route)) },
    `connected to ${device.description}${by}`,
  );
}

/** Where the bridge will be, as far as that can be checked before there is something to serve. */
async function placeToListen(
  { listen, socket }: ConnectOptions,
  exportName: string,
): Promise<BridgeOptions['listen']> {
  if (listen !== undefined) return listen;
  // Absolute, as whoever reads the address that is printed may be in another folder.
  const path = resolve(socket ?? bridgeSocketPath(exportName));
  await checkSocketPath(path);
  return { path };
}

function warnOfNoReplay(log: Log): void {
  log.warn(
    'the replay buffer is off: if the machine of the export goes down, what was acknowledged and not flushed may be lost',
  );
}

/** Connects as soon as the export lets us; undefined when a signal came first. */
function waitToConnect(session: SessionOptions): Promise<RemoteDevice | undefined> {
  // One for all attempts: where only the WELCOME was lost, the store is ours already.
  const identity = new SessionIdentity();
  const connect = () => RemoteDevice.connect({ ...session, identity });
  return waitOrStop(connect, { log: session.log, stop: stopRequested() });
}

/** Starts the bridge; where that fails the device is closed, so that its claim ends. */
async function serve(
  device: RemoteDevice,
  options: Omit<BridgeOptions, 'device'>,
): Promise<Bridge> {
  try {
    return await Bridge.listen({ ...options, device });
  } catch (error) {
    await device.close();
    throw error;
  }
}

/**
 * The export will never answer again. NBD clients keep their connections, since to be told EIO
 * is better than to hang or to be dropped; this returns when they have all gone, or at a signal.
 */
async function outliveSession(
  bridge: Bridge,
  reason: DstError,
  stop: Promise<unknown>,
  log: Log,
): Promise<void> {
  const { clients } = bridge.stats;
  log.error(
    { code: reason.code, clients },
    `${reason.message}: all commands fail with EIO from now on, and this ends when the last NBD client has gone`,
  );
  await Promise.race([bridge.retire(), stop]);
  await tellService('STOPPING=1', log);
  await bridge.close(0);
}

/** Ends in order, within `graceMs` in all. Rejects with DST_E_UNFLUSHED, or as a flush does. */
async function end(bridge: Bridge, device: RemoteDevice, graceMs: number): Promise<void> {
  const deadlineMs = performance.now() + graceMs;
  await bridge.close(graceMs);
  try {
    if (device.capabilities.readOnly) return;
    const flushed = await resolvesWithin(device.flush(), deadlineMs - performance.now());
    if (!flushed) throw unflushed(graceMs);
  } finally {
    await device.close();
  }
}

function unflushed(graceMs: number): DstError {
  return new DstError(
    'DST_E_UNFLUSHED',
    `the export did not confirm a flush within ${graceMs / 1000} s: what was written since the last flush may be lost, so check it`,
  );
}
