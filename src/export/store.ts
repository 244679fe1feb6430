import type { BlockDevice } from '../block/device.js';
import type { Capability, ExportDescription } from '../protocol/messages.js';

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
