import { writeFile } from 'node:fs/promises';
import {
  KERNEL_COMMAND_BYTES_MAX,
  KERNEL_COMMAND_TIMEOUT_MS,
  KERNEL_READ_AHEAD_BYTES,
} from '../../limits.js';
import { blockFolder } from './device-usage.js';
import { KERNEL_FOLDERS, type KernelFolders, readText } from './kernel-files.js';

export interface QueueSettings {
  /** Whether the export's disk turns: some kernels don't heed NBD_FLAG_ROTATIONAL. */
  readonly rotational: boolean;
  /** Whether to set what makes it fast, too. */
  readonly tune: boolean;
}

/**
 * Sets how the kernel treats an attached device, in /sys/block/nbdN/queue. Resolves to what
 * could not be set, each in a few words such as "scheduler to none (EINVAL)".
 *
 * To tune is: no scheduler, since the export has one; large commands; reading ahead by what
 * fills a long line.
 */
export async function applyQueueSettings(
  index: number,
  settings: QueueSettings,
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<string[]> {
  const folder = `${blockFolder(index, folders)}/queue`;
  const wanted = new Map([
    ['rotational', settings.rotational ? '1' : '0'],
    ['io_timeout', String(KERNEL_COMMAND_TIMEOUT_MS)],
  ]);
  if (settings.tune) {
    wanted.set('scheduler', 'none');
    wanted.set('max_sectors_kb', String(await commandKibMax(folder)));
    wanted.set('read_ahead_kb', String(KERNEL_READ_AHEAD_BYTES / 1024));
  }
  const failures: string[] = [];
  for (const [name, value] of wanted) {
    try {
      // 'r+': a file in sysfs is never made, nor cut.
      await writeFile(`${folder}/${name}`, value, { flag: 'r+' });
    } catch (error) {
      failures.push(`${name} to ${value} (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  return failures;
}

/** The driver has a bound of its own, above which it takes no value at all. */
async function commandKibMax(folder: string): Promise<number> {
  const kib = KERNEL_COMMAND_BYTES_MAX / 1024;
  const driverKib = Number((await readText(`${folder}/max_hw_sectors_kb`)) ?? kib);
  return Math.min(kib, driverKib);
}
