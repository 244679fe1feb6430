import { once } from 'node:events';
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net';
import { BufferPool } from '../block/buffer-pool.js';
import type { BlockDevice } from '../block/device.js';
import type { Clock } from '../clock.js';
import { DstError, reasonOf } from '../errors.js';
import {
  NBD_BRIDGE_BYTES_IN_FLIGHT_MAX,
  NBD_BRIDGE_COMMANDS_IN_FLIGHT_MAX,
  NBD_CLIENTS_MAX,
} from '../limits.js';
import type { Log } from '../log.js';
import { Connection } from './connection.js';
import { FailureLog } from './failure-log.js';
import { InFlight } from './in-flight.js';
import { incomingFrom } from './incoming.js';
import type { ExportOffer } from './negotiation.js';
import { listenOnSocketFile, type SocketFile } from './unix-socket.js';

export interface BridgeOptions {
  /** What NBD clients ask for; the empty name works too. */
  readonly exportName: string;
  /** For `nbdinfo` and its like; by default the device's own. */
  readonly description?: string;
  /** Stays the caller's: closing the bridge does not close it. */
  readonly device: BlockDevice;
  /** A Unix socket, or a loopback address; port 0 takes a free one. */
  readonly listen: { readonly path: string } | { readonly host: string; readonly port: number };
  readonly log: Log;
  readonly clock?: Clock;
}

export interface BridgeStats {
  readonly clients: number;
  /** Commands and payload bytes in flight, of all clients. */
  readonly inFlight: number;
  readonly inFlightBytes: number;
  /** Commands ever taken; refused ones are not counted. */
  readonly commands: number;
}

/** Serves one device to any number of NBD clients. */
export class Bridge {
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
  readonly #connections = new Set<Connection>();
  readonly #inFlight = new InFlight(
    NBD_BRIDGE_COMMANDS_IN_FLIGHT_MAX,
    NBD_BRIDGE_BYTES_IN_FLIGHT_MAX,
  );
  readonly #pool = new BufferPool();
  readonly #offer: ExportOffer;
  readonly #log: Log;
  readonly #failures: FailureLog;
  #uri = '';
  #socketFile: SocketFile | undefined;
  /** Called when the last connection has gone, once somebody waits for that. */
  #emptied: (() => void) | undefined;
  #retired: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  /**
   * Starts to listen. Throws DST_E_SOCKET_PATH and DST_E_SOCKET_IN_USE for a Unix socket,
   * DST_E_BRIDGE_ADDRESS for an address that is not loopback or cannot be had.
   */
  static async listen(options: BridgeOptions): Promise<Bridge> {
    const bridge = new Bridge(options);
    await bridge.#listen(options.listen);
    return bridge;
  }

  private constructor(options: BridgeOptions) {
    this.#log = options.log;
    this.#failures = new FailureLog(options.log, options.clock);
    this.#offer = {
      name: options.exportName,
      description: options.description ?? options.device.description,
      device: options.device,
    };
    this.#server.on('connection', (socket) => this.#accept(socket));
  }

  /** What to give an NBD program (NBD URI specification). */
  get uri(): string {
    return this.#uri;
  }

  get stats(): BridgeStats {
    return {
      clients: this.#connections.size,
      inFlight: this.#inFlight.commands,
      inFlightBytes: this.#inFlight.bytes,
      commands: this.#inFlight.entered,
    };
  }

  /**
   * Takes no more clients, and removes the socket file: another bridge may serve there. Those
   * who are through their handshake stay; resolves when the last of them has gone.
   */
  retire(): Promise<void> {
    this.#retired ??= this.#retire();
    return this.#retired;
  }

  /**
   * Takes no more clients or commands, gives those in flight `graceMs` to end, then ends
   * all connections and removes the socket file. A second call waits for the first.
   */
  close(graceMs: number): Promise<void> {
    this.#closed ??= this.#close(graceMs);
    return this.#closed;
  }

  async #listen(where: BridgeOptions['listen']): Promise<void> {
    const name = encodeURIComponent(this.#offer.name);
    if ('path' in where) {
      this.#socketFile = await listenOnSocketFile(this.#server, where.path);
      const socket = where.path.split('/').map(encodeURIComponent).join('/');
      this.#uri = `nbd+unix:///${name}?socket=${socket}`;
    } else {
      const { address, port } = await listenOnLoopback(this.#server, where.host, where.port);
      this.#uri = `nbd://${isIPv6(address) ? `[${address}]` : address}:${port}/${name}`;
    }
    this.#server.on('error', (error) => this.#log.warn({ err: error }, 'the bridge cannot accept'));
  }

  async #retire(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const connection of this.#connections) connection.turnAway();
    await this.#socketFile?.remove();
    await closed;
    // The server does not count the connections, which were taken over from it.
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#emptied = resolve));
  }

  async #close(graceMs: number): Promise<void> {
    const gone = this.retire();
    for (const connection of this.#connections) connection.drain();
    const grace = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, graceMs);
    try {
      await gone;
    } finally {
      clearTimeout(grace);
    }
  }

  #accept(socket: Socket): void {
    if (this.#retired !== undefined || !this.#hasRoom()) {
      this.#log.warn(`an NBD client was turned away: ${this.#connections.size} are connected`);
      socket.destroy();
      return;
    }
    const connection = new Connection({
      incoming: incomingFrom(socket),
      offer: this.#offer,
      shared: this.#inFlight,
      pool: this.#pool,
      failures: this.#failures,
      log: this.#log,
      onClose: () => this.#leave(connection),
    });
    this.#connections.add(connection);
  }

  #leave(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#emptied?.();
  }

  /**
   * While commands wait through an outage, clients that were killed look like clients that
   * wait for answers. So that they do not fill the bridge, one of these makes room.
   */
  #hasRoom(): boolean {
    if (this.#connections.size < NBD_CLIENTS_MAX) return true;
    for (const connection of this.#connections) {
      if (!connection.ended) continue;
      this.#leave(connection);
      connection.destroy();
      return true;
    }
    return false;
  }
}

async function listenOnLoopback(server: Server, host: string, port: number): Promise<AddressInfo> {
  if (host !== 'localhost' && host !== '::1' && !/^127(\.\d{1,3}){3}$/.test(host)) {
    throw new DstError(
      'DST_E_BRIDGE_ADDRESS',
      `the bridge lets in everybody who reaches it, so it listens on loopback only, not on ${host}: use 127.0.0.1 or a Unix socket`,
    );
  }
  const listening = once(server, 'listening');
  server.listen(port, host);
  try {
    await listening;
  } catch (error) {
    throw new DstError(
      'DST_E_BRIDGE_ADDRESS',
      `cannot listen on ${host}:${port}: ${reasonOf(error)}`,
      { cause: error },
    );
  }
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address;
}
