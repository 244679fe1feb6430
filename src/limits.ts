/**
 * Every bound of the project, with its unit in its name and the reason beside it.
 * A new queue, buffer or timer gets its bound here, never in place.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

// ---- Block devices -------------------------------------------------------------------

/** Sizes and offsets are JavaScript numbers, exact up to 2^53: 8 PiB leaves headroom. */
export const DEVICE_BYTES_MAX = 2 ** 53 - 2 ** 40;

/** The smallest unit that any disk offers; sizes must be a multiple of it. */
export const SECTOR_BYTES = 512;

// ---- Buffers -------------------------------------------------------------------------

/** Free buffers that one pool keeps for reuse; beyond it they are left to the collector. */
export const BUFFER_POOL_FREE_BYTES_MAX = 32 * MIB;

/** Pooled buffers come in powers of two from this size (one page) ... */
export const BUFFER_POOL_SLAB_BYTES_MIN = 4 * KIB;

/** ... to this one; larger ones are rare enough to allocate. */
export const BUFFER_POOL_SLAB_BYTES_MAX = 2 * MIB;

// ---- NBD bridge ----------------------------------------------------------------------

/** NBD's own ceiling for a request's payload: what every client may send unasked. */
export const NBD_PAYLOAD_BYTES_MAX = 32 * MIB;

/** The block size that suits us best: what file systems use. */
export const NBD_PREFERRED_BLOCK_BYTES = 4 * KIB;

/** Option data that a client may send while it negotiates: names are at most 4 KiB. */
export const NBD_OPTION_BYTES_MAX = 16 * KIB;
