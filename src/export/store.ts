import type { BlockDevice } from '../block/device.js';
import type { Clock } from '../clock.js';
import { DstError } from '../errors.js';
import { SHUTDOWN_FLUSH_TIMEOUT_MS } from '../limits.js';
import type { Capability, ExportDescription } from '../protocol/messages.js';
import type { PeerAddress } from '../transport/transport.js';
import { resolvesWithin } from '../within.js';

/** A named device that an export offers. */
export interface Store {
  readonly name: string;
  readonly device: BlockDevice;
  /** Where its last claim outlives the process; without it a restart forgets who wrote. */
  readonly claimStore?: ClaimStore;
}

/** The last claim of a store, as it is kept across processes. */
export interface SavedClaim {
  /** Of the session, in hexadecimal. */
  readonly session: string;
  readonly since: Date;
  readonly address: PeerAddress;
}

export interface ClaimStore {
  /** The claim that was saved last, as it was found when the process began. */
  load(): SavedClaim | undefined;
  /**
   * Resolves when the claim is durable, and never rejects: where it cannot be saved, whoever
   * keeps the log is told, and serving goes on. Later claims replace earlier ones, in order.
   */
  save(claim: SavedClaim): Promise<void>;
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
 * Makes all that a store was given durable. Storage that hangs is given up at `deadlineMs` of
 * the clock, with DST_E_SHUTDOWN_TIMEOUT: it must not keep a process from ending for ever.
 */
export async function flushStore(store: Store, deadlineMs: number, clock: Clock): Promise<void> {
  const { device } = store;
  if (!device.capabilities.readOnly) await inTime(store, device.flush(), deadlineMs, clock);
}

/** Closes a store; what hangs is given up as `flushStore` does. */
export async function closeStore(store: Store, deadlineMs: number, clock: Clock): Promise<void> {
  await inTime(store, store.device.close(), deadlineMs, clock);
}

async function inTime(
  { name, device }: Store,
  ended: Promise<void>,
  deadlineMs: number,
  clock: Clock,
): Promise<void> {
  if (await resolvesWithin(ended, deadlineMs - clock.nowMs(), clock)) return;
  throw new DstError(
    'DST_E_SHUTDOWN_TIMEOUT',
    `export "${name}" could not be flushed and closed within ${SHUTDOWN_FLUSH_TIMEOUT_MS / 1000} s: check ${device.description}, which hangs; what was written last may be lost`,
    { errno: 'EIO' },
  );
}
