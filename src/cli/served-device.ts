import type { RemoteDevice } from '../client/remote-device.js';
import { DstError } from '../errors.js';
import { SHUTDOWN_GRACE_MS } from '../limits.js';
import type { Log } from '../log.js';
import type { KernelAttachment } from '../nbd/kernel/attachment.js';
import { devicePath } from '../nbd/kernel/device-name.js';
import { QuietDevice } from '../nbd/kernel/quiet-device.js';
import type { DeviceJournal, DevicePart } from './device-journal.js';
import { leaveExport } from './leave-export.js';

type Quiet = Pick<QuietDevice, 'claim' | 'flush' | 'scanPartitions'>;

export interface ServedDeviceOptions {
  readonly attachment: KernelAttachment;
  readonly device: RemoteDevice;
  readonly part: DevicePart;
  readonly journal: DeviceJournal;
  /** For tests, whose device is none of the kernel's. */
  readonly quiet?: Quiet;
  readonly log: Log;
}

/** A device that the kernel has from this process: what can happen to it, until its end. */
export class ServedDevice {
  readonly attachment: KernelAttachment;
  readonly #device: RemoteDevice;
  readonly #journal: DeviceJournal;
  readonly #quiet: Quiet;
  readonly #log: Log;
  #part: DevicePart;
  #refused: DstError | undefined;
  /** Who asks while another asks waits until that one has been told. */
  #detaching: Promise<void> = Promise.resolve();
  #ended: Promise<void> | undefined;

  constructor(options: ServedDeviceOptions) {
    this.attachment = options.attachment;
    this.#device = options.device;
    this.#part = options.part;
    this.#journal = options.journal;
    this.#quiet = options.quiet ?? new QuietDevice(options.attachment.index, SHUTDOWN_GRACE_MS);
    this.#log = options.log;
    void this.#device.session.refused.then((reason) => this.#onRefused(reason));
  }

  get path(): string {
    return devicePath(this.attachment.index);
  }

  get since(): string {
    return this.#part.since;
  }

  /** Why the export will never answer again, once it will not. */
  get refused(): DstError | undefined {
    return this.#refused;
  }

  /** The kernel follows the size of the export. */
  async resize(sizeBytes: number): Promise<void> {
    try {
      await this.attachment.resize(sizeBytes);
    } catch (error) {
      this.#log.warn({ err: error, sizeBytes }, `${this.path} keeps its size: it was not resized`);
      return;
    }
    const told = this.attachment.facts.sizeBytes;
    if (told === this.#part.sizeBytes) return;
    this.#part = { ...this.#part, sizeBytes: told };
    this.#journal.describe(this.#part);
    this.#log.info({ sizeBytes: told }, `${this.path} has the size of the export now`);
    // A table may name partitions that had no room before. Waited for by nobody.
    void this.#scanPartitions();
  }

  /**
   * Takes the device from the kernel, once all that was written to it is flushed. Rejects with
   * DST_E_DEVICE_BUSY while somebody uses it and DST_E_UNFLUSHED where the export does not
   * confirm the flush; with `force` it is detached all the same.
   */
  detach(force: boolean): Promise<void> {
    const detaching = this.#detaching.catch(() => {}).then(() => this.#detach(force));
    this.#detaching = detaching;
    return detaching;
  }

  /**
   * To be called when the kernel has let go of the device: flushes what it wrote, and ends the
   * session. Rejects as `leaveExport` does. A second call waits for the first.
   */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #detach(force: boolean): Promise<void> {
    if (!this.attachment.attached) return;
    const flush = this.#refused === undefined;
    if (force) {
      if (flush) await this.#flushIfPossible();
      await this.attachment.detach();
    } else {
      await this.#detachUnused(flush);
    }
  }

  async #detachUnused(flush: boolean): Promise<void> {
    const letGo = await this.#quiet.claim({ flush });
    try {
      await this.attachment.detach();
    } finally {
      await letGo();
    }
    // The kernel drops those of a device that is gone when somebody opens it, and not before.
    await this.#scanPartitions();
  }

  async #flushIfPossible(): Promise<void> {
    try {
      await this.#quiet.flush();
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      this.#log.warn(
        { code: error.code },
        `${this.path} is detached, and what was written to it could not be flushed`,
      );
    }
  }

  async #scanPartitions(): Promise<void> {
    try {
      await this.#quiet.scanPartitions();
    } catch (error) {
      this.#log.debug({ err: error }, `the partitions of ${this.path} were not looked for`);
    }
  }

  async #end(): Promise<void> {
    await this.#detaching.catch(() => {});
    this.#journal.end();
    if (this.#refused === undefined) await leaveExport(this.#device, SHUTDOWN_GRACE_MS);
    else await this.#device.close();
  }

  #onRefused(reason: DstError): void {
    this.#refused = reason;
    this.#log.error(
      { code: reason.code },
      `${reason.message}: all commands of ${this.path} fail with EIO from now on, until it is detached`,
    );
  }
}
