import { writeFile } from 'node:fs/promises';
import { reasonOf } from '../../errors.js';
import {
  KERNEL_COMMAND_BYTES_MAX,
  KERNEL_COMMAND_TIMEOUT_MS,
  KERNEL_READ_AHEAD_BYTES,
} from '../../limits.js';
import { runDeviceTask } from './device-task.js';
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
 *
 * Where anything is to be changed, the kernel first waits for all commands that the device has
 * in flight, and lets no new ones begin: so this may wait as long as the export is away.
 */
export async function applyQueueSettings(
  index: number,
  settings: QueueSettings,
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<readonly string[]> {
  const folder = `${blockFolder(index, folders)}/queue`;
  try {
    return await runDeviceTask({ action: 'set-queue', folder, settings });
  } catch (error) {
    return [`any of them (${reasonOf(error)})`];
  }
}

/** Does it in this process, in a folder such as /sys/block/nbd0/queue. */
export async function setQueue(folder: string, settings: QueueSettings): Promise<string[]> {
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
    const path = `${folder}/${name}`;
    // Some kernels (6.12) stop the device for what is set already, too.
    if (chosen(await readText(path)) === value) continue;
    try {
      // 'r+': a file in sysfs is never made, nor cut.
      await writeFile(path, value, { flag: 'r+' });
    } catch (error) {
      failures.push(`${name} to ${value} (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  return failures;
}

/** Of a choice, the kernel shows all: "[none] mq-deadline". */
function chosen(text: string | undefined): string | undefined {
  return /\[(.*)\]/.exec(text ?? '')?.[1] ?? text;
}

/** The driver has a bound of its own, above which it takes no value at all. */
async function commandKibMax(folder: string): Promise<number> {
  const kib = KERNEL_COMMAND_BYTES_MAX / 1024;
  const driverKib = Number((await readText(`${folder}/max_hw_sectors_kb`)) ?? kib);
  return Math.min(kib, driverKib);
}
