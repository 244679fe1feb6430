import type { BlockDevice } from '../block/device.js';
import type { Clock } from '../clock.js';
import { DstError } from '../errors.js';
import { SHUTDOWN_FLUSH_TIMEOUT_MS } from '../limits.js';
import type { Capability, ExportDescription } from '../protocol/messages.js';
import { resolvesWithin } from '../within.js';

/** A named device that an export offers. */
export interface Store {
  readonly name: string;
  readonly device: BlockDevice;
}

/** What clients are told of a store; `readOnly` where this client may not write. */
export function describeStore(store: Store, readOnly: boolean): ExportDescription {
  const { geometry, capabilities } = store.device;
  const offered: Capability[] = ['hash'];
  if (capabilities.flush) offered.push('flush');
  if (capabilities.fua) offered.push('fua');
  if (capabilities.trim) offered.push('trim');
  if (capabilities.writeZeroes) offered.push('writeZeroes');
  if (capabilities.fastZero) offered.push('fastZero');
  if (capabilities.blockStatus) offered.push('blockStatus');
  if (capabilities.cache) offered.push('cache');
  if (capabilities.rotational) offered.push('rotational');
  return {
    name: store.name,
    sizeBytes: geometry.sizeBytes,
    minimumBlockBytes: geometry.minimumBlockBytes,
    preferredBlockBytes: geometry.preferredBlockBytes,
    readOnly: readOnly || capabilities.readOnly,
    capabilities: offered,
  };
}

/**
 * Flushes a store and closes it, also where the flush fails. Storage that hangs is given up
 * after SHUTDOWN_FLUSH_TIMEOUT_MS, with DST_E_SHUTDOWN_TIMEOUT: it must not keep a process
 * from ending for ever.
 */
export async function closeStore({ name, device }: Store, clock: Clock): Promise<void> {
  if (await resolvesWithin(flushAndClose(device), SHUTDOWN_FLUSH_TIMEOUT_MS, clock)) return;
  throw new DstError(
    'DST_E_SHUTDOWN_TIMEOUT',
    `export "${name}" could not be flushed and closed within ${SHUTDOWN_FLUSH_TIMEOUT_MS / 1000} s: check ${device.description}, which hangs; what was written last may be lost`,
    { errno: 'EIO' },
  );
}

async function flushAndClose(device: BlockDevice): Promise<void> {
  try {
    if (!device.capabilities.readOnly) await device.flush();
  } finally {
    await device.close();
  }
}
