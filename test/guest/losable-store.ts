/**
 * A store whose machine can lose power: a file in a file system of its own, which is cut off from
 * its disk as xfstests do it. What was flushed is there afterwards; what was in the kernel's cache
 * is gone.
 */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { folderWithCertificates } from '../cli/command.js';
import { ExportProcess } from '../faults/processes.js';
import { MIB, makeSparse, tool } from '../support/end-to-end.js';
import { FLUSHED_WHEN_ASKED, keepCached, loopDevice, mount, unmount } from './devices.js';
import type { KernelContext } from './kernel-test.js';

export const LOSABLE_STORE_TOOLS = ['mkfs.ext4', 'losetup', 'xfs_io'];

const STORE_BYTES = 32 * MIB;

/** Room for the store, the journal and the rest. */
const DISK_BYTES = 64 * MIB;

export class LosableStore {
  readonly folder: string;
  readonly exporting: ExportProcess;
  readonly #t: KernelContext;
  readonly #disk: string;
  readonly #mounted: string;
  #losses = 0;

  private constructor(t: KernelContext, folder: string, disk: string, exporting: ExportProcess) {
    this.#t = t;
    this.folder = folder;
    this.#disk = disk;
    this.#mounted = join(folder, 'machine');
    this.exporting = exporting;
  }

  /** Makes the machine, and starts the export on it. */
  static async start(t: KernelContext): Promise<LosableStore> {
    t.expectKernel(
      /^EXT4-fs \(loop\d+\): (shut down requested|recovery complete)/,
      // A file on a tmpfs has no other way to be zeroed than to be written.
      /^operation not supported error, dev loop\d+, .*WRITE_ZEROES/,
      /^Aborting journal on device loop\d+-\d+\.$/,
    );
    const folder = await folderWithCertificates(t);
    const image = join(folder, 'disk.img');
    makeSparse(image, DISK_BYTES);
    const disk = await loopDevice(t, image);
    await tool(t, 'mkfs.ext4', '-q', disk);
    const mounted = join(folder, 'machine');
    keepCached(t);
    await mount(t, disk, mounted, ...FLUSHED_WHEN_ASKED);
    const storePath = join(mounted, 'store.img');
    makeSparse(storePath, STORE_BYTES);
    await tool(t, 'sync', '-f', mounted);
    const exporting = await ExportProcess.start(t, { folder, storePath, host: '127.0.0.1' });
    return new LosableStore(t, folder, disk, exporting);
  }

  get path(): string {
    return join(this.#mounted, 'store.img');
  }

  /** The machine goes down, and its disk is back; returns a copy of the store as it then is. */
  async losePower(): Promise<string> {
    await this.exporting.kill();
    await tool(this.#t, 'xfs_io', '-x', '-c', 'shutdown', this.#mounted);
    await unmount(this.#t, this.#mounted);
    await mount(this.#t, this.#disk, this.#mounted, ...FLUSHED_WHEN_ASKED);
    const copy = join(this.folder, `found-${++this.#losses}.img`);
    copyFileSync(this.path, copy);
    return copy;
  }

  /** The machine is up again. */
  async restart(): Promise<void> {
    await this.exporting.start(`boot ${this.#losses}`);
  }
}
