import type { Cell } from '../cells.js';
import type { Line } from './link.js';

/**
 * The most commands a second that a cell can do over a line: as many as are in flight for each
 * round trip, and no more than the line has room for.
 */
export function iopsBound({ depth, blockBytes }: Cell, { rttMs, bitsPerSecond }: Line): number {
  return Math.min((depth * 1000) / rttMs, bitsPerSecond / 8 / blockBytes);
}
