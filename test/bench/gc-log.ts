/** What garbage collection a process had, as gc-watch.ts writes it down. */

/** Tells a process where to write. */
export const GC_FOLDER_VARIABLE = 'BENCH_GC_FOLDER';

/** When a pause began, since 1970, and how long it was. */
export type Pause = readonly [atMs: number, durationMs: number];

/** As of a thread of a process; each has a collector of its own. */
export function gcFileName(pid: number, threadId: number): string {
  return `gc-${pid}-${threadId}.json`;
}

export interface PauseSummary {
  readonly pauses: number;
  /** Of the time from begin to end. */
  readonly share: number;
  readonly longestMs: number;
}

/** The pauses that began between two times. */
export function summarisePauses(
  pauses: readonly Pause[],
  beginMs: number,
  endMs: number,
): PauseSummary {
  const within = pauses.filter(([atMs]) => atMs >= beginMs && atMs < endMs);
  const totalMs = within.reduce((sum, [, durationMs]) => sum + durationMs, 0);
  return {
    pauses: within.length,
    share: totalMs / (endMs - beginMs),
    longestMs: Math.max(0, ...within.map(([, durationMs]) => durationMs)),
  };
}
