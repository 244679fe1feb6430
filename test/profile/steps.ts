/** `make profile CASE=steps`: where the time of one 4 KiB write goes at depth 1, step by step. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../cli/command.js';
import type { Cleanup } from '../support/cleanup.js';
import { MIB } from '../support/end-to-end.js';
import type { ProfileCase } from './cases.js';
import { fill, runLoad } from './fio.js';
import { type ProfiledPair, startProfiledPair } from './pair.js';
import { type Event, follow, medians } from './steps/follow.js';
import type { MarksFile } from './steps/marks.js';
import { canTrace, traceSystemCalls } from './steps/system-calls.js';
import { wayOfWrite } from './steps/write-way.js';

const SPAN_BYTES = 256 * MIB;
const LOAD: ProfileCase = { name: 'steps', pattern: 'randwrite', blockBytes: 4096, depth: 1 };
const WARM_UP_SECONDS = 3;
const TRACE_SECONDS = 2;
const PLAIN_SECONDS = 4;

export async function measureSteps(t: Cleanup): Promise<void> {
  const plain = await measurePlain(t);
  const traced = canTrace();
  const { events, meanLatencyUs } = await watchPair(t, traced);
  const { start, steps } = wayOfWrite(traced);
  const commands = follow(events, { start, steps });
  if (commands.length === 0) throw new Error(missing(events, steps));
  const mediansNs = medians(commands);
  const wholeUs = (medians(commands.map((row) => [row.reduce((a, b) => a + b)]))[0] ?? 0) / 1000;
  console.log(`Without marks a write takes ${plain.toFixed(0)} us, with them`);
  console.log(
    `${meanLatencyUs.toFixed(0)} us (means, by fio). Medians of ${commands.length} writes:\n`,
  );
  console.log(table(steps.map(({ what }, i) => [what, (mediansNs[i] ?? 0) / 1000])));
  console.log(`\nmedian of the whole: ${wholeUs.toFixed(0)} us`);
}

/** What fio says of a pair that nobody watches. */
async function measurePlain(t: Cleanup): Promise<number> {
  const pair = await startProfiledPair(t, SPAN_BYTES, { exporting: [], connecting: [] });
  await fill(t, pair.uri, SPAN_BYTES);
  const { meanLatencyUs } = await runLoad(t, pair.uri, LOAD, PLAIN_SECONDS, SPAN_BYTES);
  await stop(pair);
  return meanLatencyUs;
}

async function watchPair(t: Cleanup, traced: boolean) {
  const folder = temporaryFolder(t);
  const watch = (module: string) => {
    const url = new URL(`./steps/watch-${module}.js`, import.meta.url);
    url.searchParams.set('out', join(folder, module));
    return ['--import', url.href];
  };
  const flags = { exporting: watch('export'), connecting: watch('client') };
  const pair = await startProfiledPair(t, SPAN_BYTES, flags);
  await fill(t, pair.uri, SPAN_BYTES);
  const loading = runLoad(t, pair.uri, LOAD, WARM_UP_SECONDS + TRACE_SECONDS, SPAN_BYTES);
  await sleep(WARM_UP_SECONDS * 1000);
  const processes = new Map([
    [pair.connecting.child.pid ?? 0, 'client'],
    [pair.exporting.child.pid ?? 0, 'export'],
  ]);
  const calls = traced ? await traceSystemCalls(t, processes, TRACE_SECONDS) : [];
  const { meanLatencyUs } = await loading;
  await stop(pair);
  const marks = ['client', 'export'].flatMap((module) => readMarks(join(folder, module)));
  const events = [...calls, ...marks].sort((a, b) => a.atNs - b.atNs);
  return { events, meanLatencyUs };
}

async function stop({ connecting, exporting }: ProfiledPair): Promise<void> {
  await connecting.stop();
  await exporting.stop();
}

function readMarks(file: string): Event[] {
  const { names, indexes, timesNs } = JSON.parse(readFileSync(file, 'utf8')) as MarksFile;
  return indexes.map((index, i) => ({ name: names[index] ?? '', atNs: timesNs[i] ?? 0 }));
}

function missing(events: readonly Event[], steps: readonly { until: string }[]): string {
  const seen = new Set(events.map(({ name }) => name));
  const never = steps.filter(({ until }) => !seen.has(until)).map(({ until }) => until);
  return `no write was seen whole; never seen: ${never.join(', ') || 'none'}`;
}

function table(rows: readonly (readonly [string, number])[]): string {
  const width = Math.max(...rows.map(([what]) => what.length));
  return [
    `| ${'step'.padEnd(width)} |    us |`,
    `| ${'-'.repeat(width)} | ----: |`,
    ...rows.map(([what, us]) => `| ${what.padEnd(width)} | ${us.toFixed(1).padStart(5)} |`),
  ].join('\n');
}
