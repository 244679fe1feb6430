import { constants } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { failedWith } from '../../block/system-error.js';
import { DstError } from '../../errors.js';
import { DEVICE_USE_PATIENCE_MS } from '../../limits.js';
import { resolvesWithin } from '../../within.js';
import { deviceName, devicePath } from './device-name.js';
import { DeviceTask, type DeviceWork } from './device-task.js';
import { exclusiveOpening, HIDDEN_USE, shownUses } from './device-usage.js';
import { KERNEL_FOLDERS, type KernelFolders } from './kernel-files.js';
import { scanPartitions } from './partitions.js';

/** Lets others use the device again. */
export type LetGo = () => Promise<void>;

/** What is seen of a task here. */
type Task = Pick<DeviceTask, 'result' | 'ended' | 'letGo' | 'giveUp'>;

/**
 * Brings an attached device to rest, so that it can be detached.
 *
 * What it asks of the kernel waits while the export is away, for as long as that, in a process of
 * its own that cannot be ended meanwhile: so there is at most one.
 */
export class QuietDevice {
  readonly #index: number;
  readonly #timeoutMs: number;
  readonly #folders: KernelFolders;
  readonly #begin: (work: DeviceWork) => Task;
  #waiting = false;

  /** `timeoutMs` is how long a flush may take. `begin` is for tests. */
  constructor(
    index: number,
    timeoutMs: number,
    folders: KernelFolders = KERNEL_FOLDERS,
    begin: (work: DeviceWork) => Task = (work) => new DeviceTask(work),
  ) {
    this.#index = index;
    this.#timeoutMs = timeoutMs;
    this.#folders = folders;
    this.#begin = begin;
  }

  /**
   * Resolves once nobody uses the device and, with `flush`, everything that was written to it is
   * on the export. Nobody can mount it then until it is let go.
   *
   * Rejects with DST_E_DEVICE_BUSY, which says who uses it; DST_E_UNFLUSHED where the export does
   * not answer in time, or the flush fails.
   */
  async claim({ flush }: { readonly flush: boolean }): Promise<LetGo> {
    const task = await this.#claimUnused(flush).catch(async (error) => {
      if (!(error instanceof DstError && error.code === 'DST_E_DEVICE_BUSY')) throw error;
      // Once more: udev has a look at a device whenever anything about it changes.
      await setTimeout(DEVICE_USE_PATIENCE_MS);
      return this.#claimUnused(flush);
    });
    return () => task.letGo();
  }

  /** Flushes what can be flushed, whoever uses the device. Rejects with DST_E_UNFLUSHED. */
  async flush(): Promise<void> {
    const path = `${this.#folders.dev}/${deviceName(this.#index)}`;
    const task = await this.#perform({
      action: 'open',
      ...{ path, flags: constants.O_RDONLY, flush: true },
    });
    // To close it may wait again, for what was written since.
    task.giveUp();
  }

  /** As `scanPartitions` does. */
  async scanPartitions(): Promise<void> {
    await scanPartitions(this.#index, this.#folders);
  }

  async #claimUnused(flush: boolean): Promise<Task> {
    const usages = await shownUses(this.#index, this.#folders);
    if (usages.length > 0) throw busy(this.#index, usages.join(', '));
    return this.#perform({ ...exclusiveOpening(this.#index, this.#folders), flush });
  }

  /** Resolves to a task that has done its work, within the time that it has for that. */
  async #perform(work: DeviceWork): Promise<Task> {
    if (this.#waiting) throw unflushed(this.#index);
    const task = this.#started(work);
    this.#waiting = true;
    void task.ended.then(() => {
      this.#waiting = false;
    });
    try {
      if (await resolvesWithin(task.result, this.#timeoutMs)) return task;
    } catch (error) {
      task.giveUp();
      // Its work is over, so it ends soon: whoever asks again at once must not find it in the way.
      await resolvesWithin(task.ended, this.#timeoutMs);
      if (failedWith(error, 'EBUSY')) throw busy(this.#index, HIDDEN_USE);
      throw unflushed(this.#index, error);
    }
    task.giveUp();
    throw unflushed(this.#index);
  }

  #started(work: DeviceWork): Task {
    try {
      return this.#begin(work);
    } catch (error) {
      throw unflushed(this.#index, error);
    }
  }
}

function busy(index: number, usages: string): DstError {
  const path = devicePath(index);
  return new DstError(
    'DST_E_DEVICE_BUSY',
    `${path} is in use: ${usages}: end that first, or detach it all the same with "dst-quic disconnect --force ${path}"`,
  );
}

function unflushed(index: number, cause?: unknown): DstError {
  const path = devicePath(index);
  const why = cause instanceof Error ? `: ${cause.message}` : ' in time';
  return new DstError(
    'DST_E_UNFLUSHED',
    `what was written to ${path} could not be flushed${why}; to detach it all the same, and lose that, use "dst-quic disconnect --force ${path}"`,
    { cause },
  );
}
