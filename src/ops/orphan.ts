import { createHash } from 'node:crypto';
import { KERNEL_DEVICE_INDEX_MAX } from '../limits.js';
import { backendOf, isAttached, ownerOf } from '../nbd/kernel/device-usage.js';
import { KERNEL_FOLDERS, namesIn } from '../nbd/kernel/kernel-files.js';
import type { DeviceRecord } from './device-record.js';

/** What is asked of the kernel: one seam, so that tests need none. */
export interface AttachedView {
  readonly isAttached: typeof isAttached;
  readonly backendOf: typeof backendOf;
  readonly ownerOf: typeof ownerOf;
}

const KERNEL: AttachedView = { isAttached, backendOf, ownerOf };

const BACKEND_PREFIX = 'dst-quic ';

/** What the kernel shows of who attached a device; a session's id is for nobody else to know. */
export function backendName(sessionId: Buffer): string {
  return `${BACKEND_PREFIX}${createHash('sha256').update(sessionId).digest('hex').slice(0, 32)}`;
}

/**
 * Whether the kernel has the device from the client that left this record, and waits for the
 * next: since it was written, the device may have been detached, and attached by others.
 */
export async function waitsInKernel(
  { index, session }: DeviceRecord,
  view: AttachedView = KERNEL,
): Promise<boolean> {
  if (!(await view.isAttached(index))) return false;
  const backend = await view.backendOf(index);
  if (backend !== undefined) return backend === backendName(session.id);
  // Kernels before 5.14 do not tell.
  return (await view.ownerOf(index)) === undefined;
}

/**
 * Whether the kernel has the device from a dst-quic that is gone, whatever that left of a record.
 * To be asked of a device that nobody has locked: of one that was taken over, the kernel names
 * the client before.
 */
export async function isLeftInKernel(index: number, view: AttachedView = KERNEL): Promise<boolean> {
  if (!(await view.isAttached(index))) return false;
  if (!(await view.backendOf(index))?.startsWith(BACKEND_PREFIX)) return false;
  return (await view.ownerOf(index)) === undefined;
}

/**
 * The devices of `isLeftInKernel`. None but for root, whose they are; where there is no driver
 * there are none either, and it is not loaded.
 */
export async function leftInKernel(folders = KERNEL_FOLDERS): Promise<number[]> {
  if (process.getuid?.() !== 0) return [];
  const view = {
    isAttached: (index: number) => isAttached(index, folders),
    backendOf: (index: number) => backendOf(index, folders),
    ownerOf: (index: number) => ownerOf(index, folders),
  };
  const left: number[] = [];
  for (const name of await namesIn(`${folders.sys}/block`)) {
    const index = Number(/^nbd(\d+)$/.exec(name)?.[1] ?? Number.NaN);
    if (index <= KERNEL_DEVICE_INDEX_MAX && (await isLeftInKernel(index, view))) left.push(index);
  }
  return left;
}
