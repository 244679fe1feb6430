/** What is measured: workloads, each a row of a table. */
import { KIB, MIB } from '../support/end-to-end.js';

export type Pattern = 'randwrite' | 'randread' | 'randrw' | 'write' | 'read';

export interface Cell {
  readonly name: string;
  readonly pattern: Pattern;
  readonly blockBytes: number;
  /** Commands in flight. */
  readonly depth: number;
  /** Each write is followed by a flush before the next one. */
  readonly flushed?: boolean;
}

/** Of the commands of a mix, in percent. */
export const MIX_READ_PERCENT = 70;

export const ALL_CELLS: readonly Cell[] = [
  ...[1, 8, 32, 128].flatMap((depth) => [small('randwrite', depth), small('randread', depth)]),
  ...[large('write', 128 * KIB, 16), large('read', 128 * KIB, 16)],
  ...[large('write', MIB, 8), large('read', MIB, 8)],
  { name: '4 KiB 70/30 mix, depth 32', pattern: 'randrw', blockBytes: 4 * KIB, depth: 32 },
  {
    name: '4 KiB write and flush, depth 1',
    pattern: 'randwrite',
    blockBytes: 4 * KIB,
    depth: 1,
    flushed: true,
  },
];

/** Of all cells those that say most, for a quick run. */
export const QUICK_CELLS: readonly Cell[] = [
  ...[small('randwrite', 1), small('randwrite', 32), small('randread', 32)],
  ...[small('randwrite', 128), large('write', 128 * KIB, 16)],
];

export const CHECKSUM_CELLS: readonly Cell[] = [
  ...[small('randwrite', 32), large('write', 128 * KIB, 16), large('read', 128 * KIB, 16)],
];

/** Of networks that are not loopback. */
export const NETWORK_CELLS: readonly Cell[] = [
  ...[small('randwrite', 32), small('randread', 32)],
  ...[large('write', 128 * KIB, 16), large('read', 128 * KIB, 16)],
];

function small(pattern: 'randwrite' | 'randread', depth: number): Cell {
  const what = pattern === 'randwrite' ? 'random write' : 'random read';
  return { name: `4 KiB ${what}, depth ${depth}`, pattern, blockBytes: 4 * KIB, depth };
}

function large(pattern: 'write' | 'read', blockBytes: number, depth: number): Cell {
  const size = blockBytes < MIB ? `${blockBytes / KIB} KiB` : `${blockBytes / MIB} MiB`;
  return { name: `${size} ${pattern}, depth ${depth}`, pattern, blockBytes, depth };
}
