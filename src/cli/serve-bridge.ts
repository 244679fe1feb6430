import { resolve } from 'node:path';
import type { RemoteDevice } from '../client/remote-device.js';
import { DstError } from '../errors.js';
import type { Log } from '../log.js';
import { Bridge, type BridgeOptions } from '../nbd/bridge.js';
import { checkSocketPath } from '../nbd/unix-socket.js';
import { startControl } from '../ops/control-server.js';
import { bridgeSocketPath } from '../ops/runtime-folder.js';
import { BridgeEnding } from './bridge-ending.js';
import { type Client, connectClient, setUpClient } from './client-setup.js';
import { clientStatus } from './client-status.js';
import type { ConnectOptions } from './connect.js';
import { parseLanes } from './lanes-option.js';
import { printLine } from './output.js';
import { tellService } from './service.js';
import { stopRequested } from './shutdown.js';

/** Serves a remote store to NBD programs until a signal or `dst-quic disconnect` comes. */
export async function serveBridge(
  address: string,
  options: ConnectOptions,
  log: Log,
): Promise<void> {
  const client = await setUpClient(address, options, log);
  const { exportName } = client.session;
  const listen = await placeToListen(options, exportName);
  const device = await connectClient(client, { wait: options.wait ?? false });
  if (device === undefined) return;
  const bridge = await listenOrClose(device, { exportName, listen, log });
  const ending = new BridgeEnding({ bridge, device, log });
  const control = await startControl({
    status: () => bridgeStatus(client, bridge, device, ending),
    disconnect: (force) => ending.disconnect(force),
    chooseLanes: (count) => device.session.chooseLanes(parseLanes('lanes', count)),
    log,
  });
  try {
    const stop = stopRequested();
    printLine(`ready ${bridge.uri}`);
    await tellService('READY=1', log);
    const reason = await Promise.race([stop, device.session.refused, ending.asked]);
    if (reason instanceof DstError) {
      await ending.outliveSession(reason, stop);
      throw reason;
    }
    await ending.end(reason);
    log.info('ended: everything that was written is on the export');
  } finally {
    await control.close();
  }
}

function bridgeStatus(client: Client, bridge: Bridge, device: RemoteDevice, ending: BridgeEnding) {
  const { inFlight, inFlightBytes } = bridge.stats;
  const { since } = ending;
  const refused = ending.refused !== undefined;
  return clientStatus(client, device, { uri: bridge.uri, inFlight, inFlightBytes, refused, since });
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

/** Starts the bridge; where that fails the device is closed, so that its claim ends. */
async function listenOrClose(
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
