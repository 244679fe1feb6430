import { RemoteDevice } from '../client/remote-device.js';
import { describeRoute, routeFields } from '../client/route/route.js';
import type { SessionRoute } from '../client/route/session-route.js';
import { SessionIdentity } from '../client/session-identity.js';
import type { SessionOptions } from '../client/session-options.js';
import type { Log } from '../log.js';
import { allowedChecksums } from './checksum-options.js';
import { clientIdentity } from './client-identity-option.js';
import type { ConnectOptions } from './connect.js';
import { Connecting, type DeviceToServe } from './connecting.js';
import { startCryptoThreads } from './crypto-threads.js';
import { roamingDialer } from './dialer.js';
import { parseStore } from './options.js';
import { outageSettings } from './outage-options.js';
import { readSecret } from './secret-option.js';
import { stopRequested } from './shutdown.js';
import { waitOrStop } from './wait-or-stop.js';

/** A client whose options are read; it has not connected yet. */
export interface Client {
  /** As it was typed. */
  readonly address: string;
  readonly session: SessionOptions;
  readonly route: SessionRoute;
  readonly log: Log;
}

/** Reads what the options name, and starts what they ask for. */
export async function setUpClient(
  address: string,
  options: ConnectOptions,
  log: Log,
): Promise<Client> {
  const { exportName, ...place } = parseStore(address);
  const checksums = await allowedChecksums(options, 'client');
  const secret = await readSecret(options);
  const identity = clientIdentity(options);
  const route = roamingDialer({ place, certificatePath: options.cert, identity, log });
  const readOnly = options.readOnly ?? false;
  if (options.replayBuffer === 0 && !readOnly) warnOfNoReplay(log);
  await startCryptoThreads(options, log);
  const settings = outageSettings(options);
  const { lanes } = options;
  const session = { ...route, ...settings, exportName, checksums, secret, readOnly, lanes, log };
  return { address, session, route, log };
}

export interface ConnectSettings {
  /** Until the export lets us. */
  readonly wait: boolean;
  /** One for all attempts: where only the WELCOME was lost, the store is ours already. */
  readonly identity?: SessionIdentity;
  readonly toServe?: DeviceToServe;
}

/**
 * Connects; undefined when `dst-quic disconnect` or, where it is to `wait`, a signal came first.
 */
export async function connectClient(
  client: Client,
  settings: ConnectSettings,
): Promise<RemoteDevice | undefined> {
  const { route, log } = client;
  const connecting = await Connecting.start(client, settings.toServe);
  const device = await connectOrStop(client, settings, connecting).finally(() => connecting.end());
  if (device === undefined) return undefined;
  const current = route.currentRoute();
  const by = current === undefined ? '' : ` by ${describeRoute(current)}`;
  const { sizeBytes } = device.geometry;
  log.info(
    { sizeBytes, ...(current && routeFields(current)) },
    `connected to ${device.description}${by}`,
  );
  return device;
}

async function connectOrStop(
  { session, log }: Client,
  { wait, identity = new SessionIdentity() }: ConnectSettings,
  connecting: Connecting,
): Promise<RemoteDevice | undefined> {
  const connect = () => RemoteDevice.connect({ ...session, identity });
  // Where it does not wait, a signal ends the process at once, as it has nothing to end in order.
  const { asked } = connecting;
  const stop = wait ? Promise.race([stopRequested(), asked]) : asked;
  const device = await waitOrStop(connect, { wait, log, stop });
  if (device === undefined || !connecting.isAsked) return device;
  await device.close();
  return undefined;
}

function warnOfNoReplay(log: Log): void {
  log.warn(
    'the replay buffer is off: if the machine of the export goes down, what was acknowledged and not flushed may be lost',
  );
}
