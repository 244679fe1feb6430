import { RemoteDevice } from '../client/remote-device.js';
import { describeRoute, routeFields } from '../client/route/route.js';
import type { SessionRoute } from '../client/route/session-route.js';
import { SessionIdentity } from '../client/session-identity.js';
import type { SessionOptions } from '../client/session-options.js';
import type { Log } from '../log.js';
import { allowedChecksums } from './checksum-options.js';
import { clientIdentity } from './client-identity-option.js';
import type { ConnectOptions } from './connect.js';
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
  const session = { ...route, ...settings, exportName, checksums, secret, readOnly, log };
  return { address, session, route, log };
}

/**
 * Connects; where it is to `wait`, as soon as the export lets us, and undefined when a signal
 * came first. `identity` is one for all attempts: where only the WELCOME was lost, the store is
 * ours already.
 */
export async function connectClient(
  { session, route, log }: Client,
  { wait, identity = new SessionIdentity() }: { wait: boolean; identity?: SessionIdentity },
): Promise<RemoteDevice | undefined> {
  const connect = () => RemoteDevice.connect({ ...session, identity });
  const device = wait ? await waitOrStop(connect, { log, stop: stopRequested() }) : await connect();
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

function warnOfNoReplay(log: Log): void {
  log.warn(
    'the replay buffer is off: if the machine of the export goes down, what was acknowledged and not flushed may be lost',
  );
}
