import type { BlockDevice } from '../../block/device.js';
import { type Clock, systemClock } from '../../clock.js';
import { invariant } from '../../errors.js';
import type { Log } from '../../log.js';
import type { Session } from '../session.js';
import { type DeviceFacts, factsOf, wholeBlocks } from './device-facts.js';
import { devicePath } from './device-name.js';
import type { NbdDriver } from './driver.js';
import { type HungUp, hangUpProbe } from './hang-up.js';
import { KernelLinks } from './kernel-links.js';

/** What is asked of the kernel's driver: a seam, so that tests can be the kernel. */
export type KernelDriver = Pick<NbdDriver, 'connect' | 'reconfigure' | 'disconnect' | 'connected'>;

export interface AttachOptions {
  readonly driver: KernelDriver;
  readonly index: number;
  /** Stays the caller's. */
  readonly device: BlockDevice;
  /** Sockets that the kernel has at a time. */
  readonly connections: number;
  /** How long commands wait for the next client when this process is gone. */
  readonly deadConnectionTimeoutMs: number;
  /** Whose device it is, for all to see where the kernel shows it. */
  readonly backend: string;
  /** The kernel has the device already, from a client that is gone, and was told this. */
  readonly resumed?: DeviceFacts | undefined;
  readonly log: Log;
  readonly clock?: Clock;
}

/** A size that follows the device, for all connections at once. */
interface LiveSession extends Session {
  sizeBytes: number;
}

/**
 * A device as one of the kernel's block devices.
 *
 * ```
 *   attaching --handed over--> attached --detach()--------> detaching --> detached
 *                                  |                                         ^
 *                                  +--NBD_CMD_DISC, or not connected any more+
 * ```
 */
export class KernelAttachment {
  readonly index: number;
  /** Resolves when the kernel has let go of the device, by our doing or by somebody else's. */
  readonly detached: Promise<void>;
  readonly #options: AttachOptions;
  readonly #session: LiveSession;
  readonly #blockBytes: number;
  readonly #links: KernelLinks;
  #state: 'attaching' | 'attached' | 'detaching' | 'detached' = 'attaching';
  #wantedBytes: number;
  #resizing: Promise<void> | undefined;
  #tellDetached: () => void = () => {};

  private constructor(options: AttachOptions, hungUp: HungUp) {
    const { driver, index, device, connections, log, clock = systemClock } = options;
    const { blockBytes, transmissionFlags } = options.resumed ?? factsOf(device);
    // Of a device that is taken over the kernel is told anew: what it was told last is not sure.
    const sizeBytes = wholeBlocks(device.geometry.sizeBytes, blockBytes);
    this.#options = options;
    this.index = index;
    this.#blockBytes = blockBytes;
    this.#wantedBytes = sizeBytes;
    this.#session = {
      sizeBytes,
      minimumBlockBytes: device.geometry.minimumBlockBytes,
      transmissionFlags,
      structuredReplies: false,
      allocationContext: false,
    };
    this.#links = new KernelLinks({
      ...{ index, connections, device, session: this.#session, hungUp, clock, log },
      replace: (sockets) => driver.reconfigure(index, { sockets }),
      isConnected: () => this.#isConnected(),
      onLetGo: () => this.#onLetGo(),
    });
    this.detached = new Promise((resolve) => {
      this.#tellDetached = resolve;
    });
  }

  /**
   * Hands a device to the kernel, or fresh connections for one that it has. Rejects as the
   * driver does; the kernel has no connection of ours then.
   */
  static async attach(options: AttachOptions): Promise<KernelAttachment> {
    const attachment = new KernelAttachment(options, await hangUpProbe());
    await attachment.#attach();
    return attachment;
  }

  /** Whether the kernel has it, and nobody is about to take it from it. */
  get attached(): boolean {
    return this.#state === 'attached';
  }

  /** What the kernel goes by now. */
  get facts(): DeviceFacts {
    const { sizeBytes, transmissionFlags } = this.#session;
    return { sizeBytes, transmissionFlags, blockBytes: this.#blockBytes };
  }

  /** Commands and payload bytes in flight. */
  get stats(): { readonly inFlight: number; readonly inFlightBytes: number } {
    const { commands, bytes } = this.#links.inFlight;
    return { inFlight: commands, inFlightBytes: bytes };
  }

  /**
   * Gives the kernel a new size, of which a rest that is no whole block is left out. Rejects
   * as the driver does, and the kernel goes on with the size that it knows.
   */
  resize(sizeBytes: number): Promise<void> {
    this.#wantedBytes = wholeBlocks(sizeBytes, this.#blockBytes);
    this.#resizing ??= this.#follow().finally(() => {
      this.#resizing = undefined;
    });
    return this.#resizing;
  }

  /**
   * Takes the device from the kernel, which fails what it has in flight: whoever cares has
   * seen to it that nothing is. Rejects as the driver does, and then it stays attached.
   */
  async detach(): Promise<void> {
    if (this.#state === 'detached') return;
    invariant(this.#state === 'attached', 'only what is attached can be detached, and once');
    this.#state = 'detaching';
    this.#links.keepNoMore();
    // The kernel says NBD_CMD_DISC on every socket, and would wait for one that nobody reads.
    if (this.#links.inFlight.commands > 0) this.#links.destroy();
    try {
      await this.#options.driver.disconnect(this.index);
    } catch (error) {
      if (await this.#isConnected()) {
        this.#state = 'attached';
        this.#links.keep();
        throw error;
      }
    }
    this.#end();
  }

  async #attach(): Promise<void> {
    const { driver, resumed, deadConnectionTimeoutMs, backend } = this.#options;
    const { sizeBytes } = this.facts;
    const settings = { ...this.facts, deadConnectionTimeoutMs, backend };
    try {
      await this.#links.open(async (sockets) => {
        if (resumed === undefined) await driver.connect(this.index, sockets, settings);
        else await driver.reconfigure(this.index, { sockets, sizeBytes, deadConnectionTimeoutMs });
      });
    } catch (error) {
      this.#state = 'detached';
      throw error;
    }
    this.#state = 'attached';
    this.#links.keep();
  }

  async #follow(): Promise<void> {
    const { driver } = this.#options;
    while (this.#state === 'attached' && this.#session.sizeBytes !== this.#wantedBytes) {
      const was = this.#session.sizeBytes;
      const wanted = this.#wantedBytes;
      // While the kernel changes over, it may ask for either.
      this.#session.sizeBytes = Math.max(was, wanted);
      try {
        await driver.reconfigure(this.index, { sizeBytes: wanted });
        this.#session.sizeBytes = wanted;
      } catch (error) {
        this.#session.sizeBytes = was;
        throw error;
      }
    }
  }

  /** Where the kernel cannot be asked, nothing is given up. */
  async #isConnected(): Promise<boolean> {
    try {
      return (await this.#options.driver.connected()).includes(this.index);
    } catch {
      return true;
    }
  }

  #onLetGo(): void {
    if (this.#state !== 'attached') return;
    this.#options.log.warn(`${devicePath(this.index)} was detached by somebody else`);
    this.#end();
  }

  #end(): void {
    this.#state = 'detached';
    this.#links.keepNoMore();
    this.#links.destroy();
    this.#tellDetached();
  }
}
