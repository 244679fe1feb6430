import { failedWith } from '../../block/system-error.js';
import { DstError } from '../../errors.js';
import { devicePath } from './device-name.js';
import { isAttached, ownerOf, whoUses } from './device-usage.js';
import type { KernelFolders } from './kernel-files.js';

export function noDriver(cause?: unknown): DstError {
  return new DstError(
    'DST_E_NO_DRIVER',
    "this kernel's NBD driver is not loaded: run `modprobe nbd` as root, or use --socket",
    { cause },
  );
}

export function tooOld(): DstError {
  return new DstError(
    'DST_E_KERNEL_OLD',
    "this kernel's NBD driver is too old to be attached (Linux 4.12 or later is needed): use a newer kernel, or --socket",
  );
}

export function notRoot(cause?: unknown): DstError {
  return new DstError(
    'DST_E_NOT_ROOT',
    'only root may attach NBD devices (CAP_SYS_ADMIN): run as root, or use --socket',
    { cause },
  );
}

export function notAttached(index: number, cause: unknown): DstError {
  return new DstError(
    'DST_E_NOT_ATTACHED',
    `${devicePath(index)} is not attached any more: connect again`,
    { cause },
  );
}

/** The error of an attempt to attach a device that somebody has already. */
export async function deviceInUse(
  index: number,
  folders: KernelFolders,
  cause: unknown,
): Promise<DstError> {
  const by = await takenBy(index, folders);
  return new DstError(
    'DST_E_DEVICE_IN_USE',
    `${devicePath(index)} is ${by}: choose another device, or --device auto`,
    { cause },
  );
}

/** The error of a request that the kernel refused. `what` is the device, in words. */
export function refused(what: string, error: unknown): unknown {
  if (failedWith(error, 'EPERM', 'EACCES')) return notRoot(error);
  const { code, errno } = error as NodeJS.ErrnoException;
  if (errno === undefined) return error;
  return new DstError(
    'DST_E_ATTACH',
    `the kernel refused a request for ${what} (${code}): its log (dmesg) tells why`,
    { cause: error },
  );
}

/** "attached by process 12 (node)", or what else takes the device. */
async function takenBy(index: number, folders: KernelFolders): Promise<string> {
  if (await isAttached(index, folders)) {
    const owner = await ownerOf(index, folders);
    return owner === undefined
      ? 'attached by a client that is gone'
      : `attached by process ${owner.processId} (${owner.name})`;
  }
  const [usage] = await whoUses(index, folders);
  return usage === undefined ? 'in use' : `in use: ${usage}`;
}
