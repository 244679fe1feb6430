import { constants } from 'node:fs';
import { stat } from 'node:fs/promises';
import { openError } from '../../block/system-error.js';
import { DstError } from '../../errors.js';
import { deviceName } from './device-name.js';
import { runDeviceTask } from './device-task.js';
import { partitionsOf } from './device-usage.js';
import { KERNEL_FOLDERS, type KernelFolders } from './kernel-files.js';

/**
 * Makes the kernel look for partitions on a device that was just attached or resized, and
 * resolves to their names ("nbd0p1") once they are there. On one that was just detached, it
 * makes it forget them. Where partitions are in use they stay as they are.
 *
 * Whoever opens a device first after its size has changed has the kernel read the partition
 * table, through the device: this waits as long as the export lets it. Rejects with what
 * `openError` makes of a device that cannot be opened.
 */
export async function scanPartitions(
  index: number,
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<string[]> {
  const path = `${folders.dev}/${deviceName(index)}`;
  const fail = (error: NodeJS.ErrnoException): never => {
    throw openError(path, true, error);
  };
  if (!(await stat(path).catch(fail)).isBlockDevice()) {
    throw new DstError(
      'DST_E_OPEN',
      `${path} is not a block device: something else was written there; remove it and load the driver anew`,
    );
  }
  const { O_RDONLY: flags } = constants;
  await runDeviceTask({ action: 'open', path, flags, flush: false }).catch(fail);
  return partitionsOf(index, folders);
}
