/** Linux' own sampler: native code, the kernel's, and JavaScript by the map that V8 writes. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../cli/command.js';
import type { Cleanup } from '../support/cleanup.js';
import { startTool } from '../support/end-to-end.js';
import { parsePerfScript } from './perf-script.js';
import type { Stack } from './stacks.js';

/** Not a round figure, so as not to keep step with what is sampled. */
export const SAMPLES_PER_SECOND = 999;

const TEXT_BYTES_MAX = 512 * 1024 * 1024;

/** Makes V8 write the map, and one log beside it, in the folder that the process runs in. */
export const PERF_FLAGS = ['--perf-basic-prof', '--no-logfile-per-isolate', '--logfile=v8.log'];

/** Why perf cannot be used here; undefined if it can. */
export function perfMissing(): string | undefined {
  const { error, status, stderr } = spawnSync('perf', [
    ...['record', '--quiet', '--event', 'cpu-clock', '--output', '/dev/null'],
    ...['--', 'true'],
  ]);
  if (error !== undefined) return 'perf is not installed';
  return status === 0 ? undefined : `perf is not allowed: ${stderr.toString().trim()}`;
}

/** Samples these processes for so long; what it resolves to reads the stacks of each, by its id. */
export async function record(
  t: Cleanup,
  processIds: readonly number[],
  seconds: number,
): Promise<() => Map<number, Stack[]>> {
  const file = join(temporaryFolder(t), 'perf.data');
  for (const id of processIds) t.after(() => rmSync(`/tmp/perf-${id}.map`, { force: true }));
  const { code, stderr } = await startTool(t, 'perf', [
    ...['record', '--quiet', '--event', 'cpu-clock', '--freq', `${SAMPLES_PER_SECOND}`],
    ...['--call-graph', 'fp', '--pid', processIds.join(','), '--output', file],
    ...['--', 'sleep', `${seconds}`],
  ]).outcome;
  if (code !== 0) throw new Error(`perf record failed: ${stderr}`);
  return () => readSamples(file);
}

function readSamples(file: string): Map<number, Stack[]> {
  const script = spawnSync(
    'perf',
    ['script', '--input', file, '--fields', 'comm,pid,tid,period,ip,sym,dso'],
    { maxBuffer: TEXT_BYTES_MAX },
  );
  if (script.status !== 0) throw new Error(`perf script failed: ${script.stderr}`);
  return parsePerfScript(script.stdout.toString());
}
