import { constants } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { failedWith } from '../../block/system-error.js';
import { type Clock, systemClock } from '../../clock.js';
import { KERNEL_DEVICE_OPEN_TIMEOUT_MS } from '../../limits.js';
import { resolvesWithin } from '../../within.js';
import { deviceName } from './device-name.js';
import { DeviceTask } from './device-task.js';
import { KERNEL_FOLDERS, type KernelFolders, namesIn, readText } from './kernel-files.js';

/** The process that attached a device. */
export interface DeviceOwner {
  readonly processId: number;
  readonly name: string;
}

/** A device or one of its partitions. */
interface Part {
  /** "nbd0p1" */
  readonly name: string;
  /** "43:1" */
  readonly deviceNumber: string | undefined;
  /** Its folder in sysfs. */
  readonly folder: string;
}

/** Whether the device has been handed sockets, be they dead by now, and was not detached. */
export async function isAttached(
  index: number,
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<boolean> {
  return (await readText(`${blockFolder(index, folders)}/pid`)) !== undefined;
}

/**
 * The process that attached the device, undefined where it is gone. Sockets that are handed over
 * later do not change it: of a device that was resumed, it is the client before.
 */
export async function ownerOf(
  index: number,
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<DeviceOwner | undefined> {
  // The kernel notes the thread: one of the pool, in our case.
  const threadId = await readText(`${blockFolder(index, folders)}/pid`);
  if (threadId === undefined || threadId === '0') return undefined;
  const status = await readText(`${folders.proc}/${threadId}/status`);
  if (status === undefined || /^State:\s*[ZX]/m.test(status)) return undefined;
  const processId = Number(/^Tgid:\s*(\d+)/m.exec(status)?.[1] ?? threadId);
  const name = (await readText(`${folders.proc}/${processId}/comm`)) ?? 'unknown';
  return { processId, name };
}

/** What the device was attached with as `backend`; undefined where the kernel has no such thing. */
export async function backendOf(
  index: number,
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<string | undefined> {
  return readText(`${blockFolder(index, folders)}/backend`);
}

/**
 * Who uses the device or a partition of it, each in a few words such as "mounted on /mnt
 * (nbd0p1)", "used by md0", "swap" or "open in process 123 (fio)"; empty where nobody does.
 *
 * Mounts of other mount namespaces, and what else in the kernel claims the device, show as
 * "claimed by something that does not show"; processes only where this one may look at them.
 * A device that cannot be opened at once, as somebody waits for it, counts as in use.
 */
export async function whoUses(
  index: number,
  folders: KernelFolders = KERNEL_FOLDERS,
  clock: Clock = systemClock,
): Promise<string[]> {
  const shown = await shownUses(index, folders);
  if (shown.length > 0) return shown;
  const task = new DeviceTask(exclusiveOpening(index, folders));
  try {
    // Whatever else keeps it from being opened is no use of it.
    const claimed = task.result.then(
      () => false,
      (error) => failedWith(error, 'EBUSY'),
    );
    if (!(await resolvesWithin(claimed, KERNEL_DEVICE_OPEN_TIMEOUT_MS, clock))) {
      return ['held up by something that waits for the export'];
    }
    const usages = (await claimed) ? [HIDDEN_USE] : [];
    await resolvesWithin(task.letGo(), KERNEL_DEVICE_OPEN_TIMEOUT_MS, clock);
    return usages;
  } finally {
    task.giveUp();
  }
}

/** How a use is called of which nothing is known but that it is. */
export const HIDDEN_USE =
  'claimed by something that does not show here, such as a mount in a container';

/** As `whoUses`, without what only opening the device would tell: waits for nobody. */
export async function shownUses(
  index: number,
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<string[]> {
  const parts = await partsOf(index, folders);
  const usages: string[] = [];
  for (const look of [mounts, swaps, holders, loops, openFiles]) {
    usages.push(...(await look(parts, folders)));
  }
  return usages;
}

/**
 * Opens the device for nobody else. A mount, a swap, md, LVM: each claims what it uses, and then
 * it fails with EBUSY (open(2), O_EXCL).
 */
export function exclusiveOpening(index: number, folders: KernelFolders) {
  const path = `${folders.dev}/${deviceName(index)}`;
  const flags = constants.O_RDONLY | constants.O_EXCL;
  return { action: 'open', path, flags, flush: false } as const;
}

/** The names of the device's partitions, in order of their numbers. */
export async function partitionsOf(
  index: number,
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<string[]> {
  const name = deviceName(index);
  const names = await namesIn(blockFolder(index, folders));
  return names
    .filter((entry) => entry.startsWith(`${name}p`) && /^\d+$/.test(entry.slice(name.length + 1)))
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
}

/** The device's folder in sysfs. */
export function blockFolder(index: number, folders: KernelFolders): string {
  return `${folders.sys}/block/${deviceName(index)}`;
}

async function partsOf(index: number, folders: KernelFolders): Promise<Part[]> {
  const whole = blockFolder(index, folders);
  const partitions = await partitionsOf(index, folders);
  const places = [
    { name: deviceName(index), folder: whole },
    ...partitions.map((name) => ({ name, folder: `${whole}/${name}` })),
  ];
  return Promise.all(
    places.map(async (place) => ({
      ...place,
      deviceNumber: await readText(`${place.folder}/dev`),
    })),
  );
}

/** proc(5): "36 35 43:1 / /mnt rw,noatime shared:1 - ext4 /dev/nbd0p1 rw", spaces as \040. */
async function mounts(parts: readonly Part[], folders: KernelFolders): Promise<string[]> {
  const table = (await readText(`${folders.proc}/self/mountinfo`)) ?? '';
  const usages: string[] = [];
  for (const line of table.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , deviceNumber, , mountPoint = ''] = before.split(' ');
    // Of btrfs the number is one of its own, but the source is the device.
    const source = unescaped(after.split(' ')[1] ?? '');
    const part = parts.find(
      ({ deviceNumber: number, name }) =>
        (number !== undefined && number === deviceNumber) || source === `/dev/${name}`,
    );
    if (part !== undefined) usages.push(`mounted on ${unescaped(mountPoint)} (${part.name})`);
  }
  return usages;
}

async function swaps(parts: readonly Part[], folders: KernelFolders): Promise<string[]> {
  const table = (await readText(`${folders.proc}/swaps`)) ?? '';
  const paths = table.split('\n').map((line) => unescaped(line.split(/\s/)[0] ?? ''));
  return parts
    .filter(({ name }) => paths.includes(`/dev/${name}`))
    .map(({ name }) => (parts[0]?.name === name ? 'swap' : `swap (${name})`));
}

async function holders(parts: readonly Part[], folders: KernelFolders): Promise<string[]> {
  const usages: string[] = [];
  for (const { folder } of parts) {
    for (const holder of await namesIn(`${folder}/holders`)) {
      // Of the device mapper: what LVM, LUKS or multipath call it.
      const mapped = await readText(`${folders.sys}/block/${holder}/dm/name`);
      usages.push(mapped === undefined ? `used by ${holder}` : `used by ${holder} (${mapped})`);
    }
  }
  return usages;
}

async function loops(parts: readonly Part[], folders: KernelFolders): Promise<string[]> {
  const usages: string[] = [];
  for (const disk of await namesIn(`${folders.sys}/block`)) {
    if (!disk.startsWith('loop')) continue;
    const backing = await readText(`${folders.sys}/block/${disk}/loop/backing_file`);
    if (parts.some(({ name }) => backing === `/dev/${name}`)) usages.push(`used by ${disk}`);
  }
  return usages;
}

async function openFiles(parts: readonly Part[], folders: KernelFolders): Promise<string[]> {
  const paths = new Set(parts.map(({ name }) => `/dev/${name}`));
  const usages: string[] = [];
  for (const entry of await namesIn(folders.proc)) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    if (!(await hasOpen(`${folders.proc}/${entry}/fd`, paths))) continue;
    if ((await parentOf(`${folders.proc}/${entry}`)) === process.pid) continue;
    const name = (await readText(`${folders.proc}/${entry}/comm`)) ?? 'unknown';
    usages.push(`open in process ${entry} (${name})`);
  }
  return usages;
}

/** A `DeviceTask` is a process of ours. */
async function parentOf(folder: string): Promise<number> {
  return Number(/^PPid:\s*(\d+)/m.exec((await readText(`${folder}/status`)) ?? '')?.[1]);
}

async function hasOpen(folder: string, paths: ReadonlySet<string>): Promise<boolean> {
  for (const fd of await namesIn(folder)) {
    // The link's text: to follow it would wait for a file system that does not answer.
    const target = await readlink(`${folder}/${fd}`).catch(() => '');
    if (paths.has(target)) return true;
  }
  return false;
}

/** Tables of the kernel write a space as \040, and other signs likewise. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
