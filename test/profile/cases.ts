const KIB = 1024;

/** A load to profile: what fio does, block by block, with so many commands in flight. */
export interface ProfileCase {
  readonly name: string;
  readonly pattern: 'randwrite' | 'randread' | 'write' | 'read';
  readonly blockBytes: number;
  readonly depth: number;
}

export const CASES: readonly ProfileCase[] = [
  { name: 'write-4k-1', pattern: 'randwrite', blockBytes: 4 * KIB, depth: 1 },
  { name: 'write-4k-32', pattern: 'randwrite', blockBytes: 4 * KIB, depth: 32 },
  { name: 'write-4k-128', pattern: 'randwrite', blockBytes: 4 * KIB, depth: 128 },
  { name: 'read-4k-1', pattern: 'randread', blockBytes: 4 * KIB, depth: 1 },
  { name: 'read-4k-32', pattern: 'randread', blockBytes: 4 * KIB, depth: 32 },
  { name: 'write-128k-16', pattern: 'write', blockBytes: 128 * KIB, depth: 16 },
  { name: 'read-128k-16', pattern: 'read', blockBytes: 128 * KIB, depth: 16 },
];
