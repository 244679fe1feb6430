import { constants } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { closeDescriptor, openPath, syncDescriptor } from '../../block/open-descriptor.js';
import { failedWith } from '../../block/system-error.js';
import { DstError } from '../../errors.js';
import { DEVICE_USE_PATIENCE_MS } from '../../limits.js';
import { resolvesWithin } from '../../within.js';
import { deviceName, devicePath } from './device-name.js';
import { whoUses } from './device-usage.js';
import { KERNEL_FOLDERS, type KernelFolders } from './kernel-files.js';
import { scanPartitions } from './partitions.js';

/** Lets others use the device again. */
export type LetGo = () => Promise<void>;

/**
 * Brings an attached device to rest, so that it can be detached.
 *
 * What it asks of the kernel waits on the thread pool while the export is away, for as long as
 * that. The pool has few threads, and the kernel's driver is spoken to on it as well: so there is
 * at most one that waits.
 */
export class QuietDevice {
  readonly #index: number;
  readonly #timeoutMs: number;
  readonly #folders: KernelFolders;
  #waiting = false;

  /** `timeoutMs` is how long each step may take. */
  constructor(index: number, timeoutMs: number, folders: KernelFolders = KERNEL_FOLDERS) {
    this.#index = index;
    this.#timeoutMs = timeoutMs;
    this.#folders = folders;
  }

  /**
   * Resolves once nobody uses the device and, with `flush`, everything that was written to it is
   * on the export. Nobody can mount it then until it is let go.
   *
   * Rejects with DST_E_DEVICE_BUSY, which says who uses it; DST_E_UNFLUSHED where the export does
   * not answer in time, or the flush fails.
   */
  async claim({ flush }: { readonly flush: boolean }): Promise<LetGo> {
    await this.#checkUnused();
    const fd = await this.#open(constants.O_RDONLY | constants.O_EXCL);
    if (flush) await this.#sync(fd);
    return () => closeDescriptor(fd);
  }

  /** Flushes what can be flushed, whoever uses the device. Rejects with DST_E_UNFLUSHED. */
  async flush(): Promise<void> {
    const fd = await this.#open(constants.O_RDONLY);
    await this.#sync(fd);
    await closeDescriptor(fd);
  }

  /** As `scanPartitions` does. */
  async scanPartitions(): Promise<void> {
    await scanPartitions(this.#index, this.#folders);
  }

  /** Asks twice: udev has a look at a device whenever anything about it changes. */
  async #checkUnused(): Promise<void> {
    if ((await this.#usages()).length === 0) return;
    await setTimeout(DEVICE_USE_PATIENCE_MS);
    const usages = await this.#usages();
    if (usages.length > 0) throw busy(this.#index, usages.join(', '));
  }

  #usages(): Promise<string[]> {
    return this.#inTime(
      () => whoUses(this.#index, this.#folders),
      () => {},
    );
  }

  async #open(flags: number): Promise<number> {
    const path = `${this.#folders.dev}/${deviceName(this.#index)}`;
    try {
      return await this.#inTime(() => openPath(path, flags), closeQuietly);
    } catch (error) {
      if (failedWith(error, 'EBUSY')) throw busy(this.#index, 'something has just begun to use it');
      throw error instanceof DstError ? error : unflushed(this.#index, error);
    }
  }

  /** Closes the descriptor where it fails. */
  async #sync(fd: number): Promise<void> {
    try {
      await this.#inTime(
        () => syncDescriptor(fd),
        () => closeQuietly(fd),
      );
    } catch (error) {
      if (error instanceof DstError) throw error;
      closeQuietly(fd);
      throw unflushed(this.#index, error);
    }
  }

  /** Does what may wait for the export; `undo` is for what ends after its time. */
  async #inTime<T>(work: () => Promise<T>, undo: (result: T) => void): Promise<T> {
    if (this.#waiting) throw unflushed(this.#index);
    this.#waiting = true;
    const working = work().finally(() => {
      this.#waiting = false;
    });
    if (await resolvesWithin(working, this.#timeoutMs)) return working;
    working.then(undo, () => {});
    throw unflushed(this.#index);
  }
}

function closeQuietly(fd: number): void {
  closeDescriptor(fd).catch(() => {});
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
