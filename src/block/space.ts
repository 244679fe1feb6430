import type { Extent, WriteZeroesFlags } from './device.js';

/** How ranges are given back, zeroed and mapped: what differs between a file and a disk. */
export interface Space {
  /** Gives the range's blocks back, or does nothing where that can't be done. */
  discard(offset: number, lengthBytes: number): Promise<void>;
  /**
   * Zeroes the range without sending zeroes. False where that can't be done as the flags
   * want it; nothing but zeroes was written then.
   */
  zero(offset: number, lengthBytes: number, flags: WriteZeroesFlags): Promise<boolean>;
  /** Undefined where allocation can't be told. */
  readonly extents?: (offset: number, lengthBytes: number) => Promise<readonly Extent[]>;
}
