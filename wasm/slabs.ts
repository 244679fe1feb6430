/**
 * The shared memory through which payloads get to threads that hash. It is used again by later
 * threads: what is freed in pieces of this size the C library keeps, and clears when it hands it
 * out again, so that threads which come and go would cost more memory each time.
 */
import { HASH_THREAD_PAYLOADS_MAX, HASH_THREADS_MAX } from '../src/limits.js';
import { SLAB_DIGEST_BYTES_MAX, SLAB_DIGEST_OFFSET } from './hash-job.js';

/** What one thread has. */
export type Slabs = readonly SharedArrayBuffer[];

/** Of threads that have ended, for as many as one pool may have. */
const spare: Slabs[] = [];

/** Slabs for one thread; they may hold what an earlier one was given. */
export function takeSlabs(): Slabs {
  return spare.pop() ?? Array.from({ length: HASH_THREAD_PAYLOADS_MAX }, newSlab);
}

/** To be called once the thread has ended, and nobody reads or writes them any more. */
export function returnSlabs(slabs: Slabs): void {
  if (spare.length < HASH_THREADS_MAX) spare.push(slabs);
}

/** Memory that no payload has touched costs nothing, so most never take it all. */
function newSlab(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLAB_DIGEST_OFFSET + SLAB_DIGEST_BYTES_MAX);
}
