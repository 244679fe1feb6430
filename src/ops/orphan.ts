import { createHash } from 'node:crypto';
import { backendOf, isAttached, ownerOf } from '../nbd/kernel/device-usage.js';
import type { DeviceRecord } from './device-record.js';

/** What is asked of the kernel: one seam, so that tests need none. */
export interface AttachedView {
  readonly isAttached: typeof isAttached;
  readonly backendOf: typeof backendOf;
  readonly ownerOf: typeof ownerOf;
}

const KERNEL: AttachedView = { isAttached, backendOf, ownerOf };

/** What the kernel shows of who attached a device; a session's id is for nobody else to know. */
export function backendName(sessionId: Buffer): string {
  return `dst-quic ${createHash('sha256').update(sessionId).digest('hex').slice(0, 32)}`;
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
