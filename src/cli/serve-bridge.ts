import { resolve } from 'node:path';
import type { RemoteDevice } from '../client/remote-device.js';
import { DstError } from '../errors.js';
import { SHUTDOWN_GRACE_MS } from '../limits.js';
import type { Log } from '../log.js';
import { Bridge, type BridgeOptions } from '../nbd/bridge.js';
import { checkSocketPath } from '../nbd/unix-socket.js';
import { startControl } from '../ops/control-server.js';
import { bridgeSocketPath } from '../ops/runtime-folder.js';
import { type Client, connectClient, setUpClient } from './client-setup.js';
import { clientStatus } from './client-status.js';
import type { ConnectOptions } from './connect.js';
import { leaveExport } from './leave-export.js';
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
  const ending = new Ending(bridge, device, log);
  const control = await startControl({
    status: () => bridgeStatus(client, bridge, device, ending),
    disconnect: () => ending.end('disconnect'),
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

function bridgeStatus(client: Client, bridge: Bridge, device: RemoteDevice, ending: Ending) {
  const { inFlight, inFlightBytes } = bridge.stats;
  const { refused, since } = ending;
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

/** How a bridge ends: by a signal, by `dst-quic disconnect`, or with its session. */
class Ending {
  readonly since = new Date().toISOString();
  /** Resolves when somebody has asked for the end. */
  readonly asked: Promise<string>;
  readonly #bridge: Bridge;
  readonly #device: RemoteDevice;
  readonly #log: Log;
  #refused = false;
  #ended: Promise<void> | undefined;
  #tellAsked: (by: string) => void = () => {};

  constructor(bridge: Bridge, device: RemoteDevice, log: Log) {
    this.#bridge = bridge;
    this.#device = device;
    this.#log = log;
    this.asked = new Promise((resolve) => {
      this.#tellAsked = resolve;
    });
  }

  /** The export will never answer again. */
  get refused(): boolean {
    return this.#refused;
  }

  /** Ends in order. Rejects with DST_E_UNFLUSHED, or as a flush does. A second call waits. */
  end(why: string): Promise<void> {
    this.#ended ??= this.#end(why);
    this.#tellAsked(why);
    return this.#ended;
  }

  /**
   * NBD clients keep their connections, since to be told EIO is better than to hang or to be
   * dropped; this returns when they have all gone, or when it is to `stop`.
   */
  async outliveSession(reason: DstError, stop: Promise<unknown>): Promise<void> {
    this.#refused = true;
    const { clients } = this.#bridge.stats;
    this.#log.error(
      { code: reason.code, clients },
      `${reason.message}: all commands fail with EIO from now on, and this ends when the last NBD client has gone`,
    );
    await Promise.race([this.#bridge.retire(), stop, this.asked]);
    await tellService('STOPPING=1', this.#log);
    await this.#bridge.close(0);
    await this.#device.close();
  }

  async #end(why: string): Promise<void> {
    this.#log.info(`${why}: ending; another signal ends it at once`);
    await tellService('STOPPING=1', this.#log);
    const deadlineMs = performance.now() + SHUTDOWN_GRACE_MS;
    await this.#bridge.close(this.#refused ? 0 : SHUTDOWN_GRACE_MS);
    if (this.#refused) return;
    await leaveExport(this.#device, deadlineMs - performance.now());
  }
}
