/** What passes between a process and a thread that hashes for it: no payload is in a message. */

import { FRAME_PAYLOAD_BYTES_MAX } from '../src/limits.js';

/** A thread's buffers, each of a whole payload and a digest behind it. */
export interface HashThreadData {
  readonly slabs: readonly SharedArrayBuffer[];
}

/** Hash the first `lengthBytes` of a slab, and write the digest at SLAB_DIGEST_OFFSET. */
export interface HashJob {
  readonly slab: number;
  readonly lengthBytes: number;
  readonly name: string;
  readonly key: Uint8Array | undefined;
}

/** Where a slab's digest is: behind the longest payload. */
export const SLAB_DIGEST_OFFSET = FRAME_PAYLOAD_BYTES_MAX;

/** No digest is longer. */
export const SLAB_DIGEST_BYTES_MAX = 64;

/** What a thread says: that it can begin, or which slab now has its digest. */
export type HashThreadMessage = 'ready' | number;
