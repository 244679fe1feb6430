import { DstError } from '../errors.js';
import { devicePath } from '../nbd/kernel/device-name.js';
import type { ClientStatus } from '../ops/control-messages.js';
import { type Control, startControl } from '../ops/control-server.js';
import type { DeviceRecord } from '../ops/device-record.js';
import type { Client } from './client-setup.js';

/** The device that a client is to serve. */
export interface DeviceToServe {
  readonly index: number;
  /** Of the client before, whose device waits for this one. */
  readonly left: DeviceRecord | undefined;
}

/** What `dst-quic status` and `disconnect` see of a client that has not been connected yet. */
export class Connecting {
  /** Resolves when somebody has asked for the end. */
  readonly asked: Promise<string>;
  readonly #client: Client;
  readonly #device: DeviceToServe | undefined;
  readonly #since = new Date().toISOString();
  readonly #over: Promise<void>;
  #isAsked = false;
  #tellAsked: (by: string) => void = () => {};
  #tellOver: () => void = () => {};
  #control: Control | undefined;

  /** Opens the control socket. */
  static async start(client: Client, device: DeviceToServe | undefined): Promise<Connecting> {
    const connecting = new Connecting(client, device);
    connecting.#control = await startControl({
      index: device?.index,
      status: () => connecting.#status(),
      disconnect: (force) => connecting.#disconnect(force),
      log: client.log,
    });
    return connecting;
  }

  private constructor(client: Client, device: DeviceToServe | undefined) {
    this.#client = client;
    this.#device = device;
    this.asked = new Promise((resolve) => {
      this.#tellAsked = resolve;
    });
    this.#over = new Promise((resolve) => {
      this.#tellOver = resolve;
    });
  }

  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** To be called when the client is connected, or tries no longer: closes the control socket. */
  async end(): Promise<void> {
    this.#tellOver();
    await this.#control?.close();
  }

  #status(): ClientStatus {
    const { address, session, route } = this.#client;
    const { index, left } = this.#device ?? {};
    return {
      pid: process.pid,
      device: index === undefined ? undefined : devicePath(index),
      export: session.exportName,
      address,
      transport: route.currentRoute()?.transport,
      state: 'connecting',
      sizeBytes: left?.sizeBytes,
      readOnly: session.readOnly,
      inFlight: 0,
      inFlightBytes: 0,
      unflushedBytes: 0,
      since: this.#since,
    };
  }

  async #disconnect(force: boolean): Promise<void> {
    if (this.#device?.left !== undefined && !force) {
      throw new DstError(
        'DST_E_CLIENT_STARTING',
        `${devicePath(this.#device.index)} waits for its export, and what was written to it may not be flushed: try again when the export is back, or give it up with --force`,
      );
    }
    this.#isAsked = true;
    this.#tellAsked('disconnect');
    await this.#over;
  }
}
