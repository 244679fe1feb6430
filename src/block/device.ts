import type { Payload } from './payload.js';

/** Sizes of a device, all in bytes. The block sizes are powers of two. */
export interface Geometry {
  readonly sizeBytes: number;
  /** Offsets and lengths of commands are multiples of it; 1 where any byte range will do. */
  readonly minimumBlockBytes: number;
  /** The block size that costs no read-modify-write. */
  readonly preferredBlockBytes: number;
}

/** What a device can do beyond reading and writing. What is absent answers ENOTSUP. */
export interface Capabilities {
  readonly readOnly: boolean;
  readonly flush: boolean;
  readonly fua: boolean;
  readonly trim: boolean;
  readonly writeZeroes: boolean;
  /** `fastZero` writes are understood: they fail with ENOTSUP rather than write slowly. */
  readonly fastZero: boolean;
  readonly blockStatus: boolean;
  readonly cache: boolean;
  readonly rotational: boolean;
}

export interface WriteFlags {
  /** The command is durable before its promise resolves. */
  readonly fua?: boolean;
}

export interface WriteZeroesFlags extends WriteFlags {
  /** The range stays allocated: no hole is punched. */
  readonly noHole?: boolean;
  /** Fail with ENOTSUP where zeroing is not much faster than writing zeroes. */
  readonly fastZero?: boolean;
}

/** A run of blocks with one allocation state (NBD's base:allocation). */
export interface Extent {
  readonly lengthBytes: number;
  /** Nothing is allocated here. */
  readonly hole: boolean;
  /** It reads as zeroes. */
  readonly zero: boolean;
}

/**
 * Random-access storage: the one interface that the bridge serves, the export serves,
 * and a file, a disk, memory, a remote export and a mirror of several all are.
 *
 * Callers pass ranges that lie within `geometry.sizeBytes` and are multiples of
 * `minimumBlockBytes`; a device rejects others with EINVAL (ENOSPC for a write past the
 * end). Commands may be issued side by side and end in any order; two that overlap in
 * range and time have no defined order. Each rejects with a `DstError` that has an errno.
 */
export interface BlockDevice {
  /** For logs and messages: "file /srv/disk.img". */
  readonly description: string;
  /** As it is now: `reread` may change the size. */
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  /**
   * Identifies the volatile cache that acked writes live in until a flush (16 bytes).
   * It differs from the last one when writes acked before may be gone, as after a reboot.
   */
  readonly verifier: Buffer;

  read(offset: number, lengthBytes: number): Promise<Payload>;
  /** The payload stays the caller's; its pieces must not change until the promise settles. */
  write(offset: number, payload: Payload, flags: WriteFlags): Promise<void>;
  /** Makes every write that ended before the call durable. */
  flush(): Promise<void>;
  trim(offset: number, lengthBytes: number, flags: WriteFlags): Promise<void>;
  writeZeroes(offset: number, lengthBytes: number, flags: WriteZeroesFlags): Promise<void>;
  /** At least one extent, contiguous from `offset`; they may end before or past the range. */
  blockStatus(offset: number, lengthBytes: number): Promise<readonly Extent[]>;
  /** Asks for the range to be read ahead. */
  cache(offset: number, lengthBytes: number): Promise<void>;
  /**
   * Takes over the size of what has grown or shrunk underneath. Rejects, with the size as it
   * was, where it cannot be told or is none that a device can have (DST_E_SIZE).
   */
  reread(): Promise<void>;
  /** Ends the device without a flush; commands in flight end first. */
  close(): Promise<void>;
}
