import { type Checksum, type ChecksumName, isKeyable, loadChecksum } from '../../wasm/checksums.js';
import type { Secret } from './secret.js';

/**
 * The checksum of a session's payloads, as both of its ends make it: keyed where they share a
 * secret and the algorithm takes a key. Others are chosen only where both ends were told to.
 */
export function loadSessionChecksum(
  name: ChecksumName,
  secret: Secret | undefined,
  session: Buffer,
  exportName: string,
): Promise<Checksum> {
  const keyed = secret !== undefined && isKeyable(name);
  return loadChecksum(name, keyed ? secret.checksumKey(session, exportName) : undefined);
}
