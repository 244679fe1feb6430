import { type Clock, systemClock } from '../clock.js';
import { DstError } from '../errors.js';
import { SHUTDOWN_GRACE_MS } from '../limits.js';
import type { Log } from '../log.js';
import type { Bridge } from '../nbd/bridge.js';
import { resolvesWithin } from '../within.js';
import { type LeavingDevice, leaveExport } from './leave-export.js';
import { tellService } from './service.js';

/** What of a bridge its end needs. */
type EndingBridge = Pick<Bridge, 'uri' | 'stats' | 'retire' | 'close'>;

export interface BridgeEndingOptions {
  readonly bridge: EndingBridge;
  readonly device: LeavingDevice;
  readonly log: Log;
  readonly clock?: Clock;
}

/** How a bridge ends: by a signal, by `dst-quic disconnect`, or with its session. */
export class BridgeEnding {
  readonly since = new Date().toISOString();
  /** Resolves when somebody has asked for the end. */
  readonly asked: Promise<string>;
  readonly #bridge: EndingBridge;
  readonly #device: LeavingDevice;
  readonly #log: Log;
  readonly #clock: Clock;
  #refused: DstError | undefined;
  #ended: Promise<void> | undefined;
  #tellAsked: (by: string) => void = () => {};

  constructor({ bridge, device, log, clock = systemClock }: BridgeEndingOptions) {
    this.#bridge = bridge;
    this.#device = device;
    this.#log = log;
    this.#clock = clock;
    this.asked = new Promise((resolve) => {
      this.#tellAsked = resolve;
    });
  }

  /** Why the export will never answer again, once it will not. */
  get refused(): DstError | undefined {
    return this.#refused;
  }

  /**
   * As a device does: not while it is used or cannot be flushed, unless by `force`. Rejects with
   * DST_E_DEVICE_BUSY or DST_E_UNFLUSHED and serves on; as `end` does, or with why the session
   * was over, when it has ended.
   */
  async disconnect(force: boolean): Promise<void> {
    if (!force) await this.#checkSafe();
    await this.end('disconnect');
    if (this.#refused !== undefined) throw this.#refused;
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
    this.#refused = reason;
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

  async #checkSafe(): Promise<void> {
    this.#checkUnused();
    if (this.#refused !== undefined || this.#device.capabilities.readOnly) return;
    const flushed = await resolvesWithin(this.#device.flush(), SHUTDOWN_GRACE_MS, this.#clock);
    if (!flushed) {
      throw new DstError(
        'DST_E_UNFLUSHED',
        'the export does not confirm a flush: it is served on; try again when the export is back, or end it with --force and lose what is not flushed',
      );
    }
    // Somebody may have come meanwhile.
    this.#checkUnused();
  }

  #checkUnused(): void {
    const { clients } = this.#bridge.stats;
    if (clients === 0) return;
    throw new DstError(
      'DST_E_DEVICE_BUSY',
      `${this.#bridge.uri} is in use: ${clients} NBD ${clients === 1 ? 'client is' : 'clients are'} connected: end that, or disconnect all the same with --force`,
    );
  }

  async #end(why: string): Promise<void> {
    this.#log.info(`${why}: ending; another signal ends it at once`);
    await tellService('STOPPING=1', this.#log);
    const deadlineMs = performance.now() + SHUTDOWN_GRACE_MS;
    const isRefused = this.#refused !== undefined;
    await this.#bridge.close(isRefused ? 0 : SHUTDOWN_GRACE_MS);
    if (isRefused) return;
    await leaveExport(this.#device, deadlineMs - performance.now());
  }
}
