/**
 * Loaded into our processes by NODE_OPTIONS=--import, for one part of the benchmark only: keeps
 * what Node tells of each garbage collection, and writes it down at the process's end.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PerformanceObserver, performance } from 'node:perf_hooks';
import { threadId } from 'node:worker_threads';
import { GC_FOLDER_VARIABLE, gcFileName, type Pause } from './gc-log.js';

const folder = process.env[GC_FOLDER_VARIABLE];
if (folder !== undefined) watch(folder);

function watch(folder: string): void {
  const pauses: Pause[] = [];
  const keep = (entries: readonly { startTime: number; duration: number }[]): void => {
    for (const { startTime, duration } of entries) {
      pauses.push([performance.timeOrigin + startTime, duration]);
    }
  };
  const observer = new PerformanceObserver((list) => keep(list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  process.once('exit', () => {
    keep(observer.takeRecords());
    writeFileSync(join(folder, gcFileName(process.pid, threadId)), JSON.stringify(pauses));
  });
}
