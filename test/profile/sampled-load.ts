/** Puts a load on an export and its client, and samples both while it lasts. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { invariant } from '../../src/errors.js';
import { type Running, temporaryFolder } from '../cli/command.js';
import type { Cleanup } from '../support/cleanup.js';
import { MIB } from '../support/end-to-end.js';
import type { ProfileCase } from './cases.js';
import { type CpuProfile, parseCpuProfile, type Window } from './cpu-profile.js';
import { fill, runLoad } from './fio.js';
import { type ExtraFlags, type ProfiledPair, processorTimeUs, startProfiledPair } from './pair.js';
import { PERF_FLAGS, perfMissing, record, SAMPLES_PER_SECOND } from './perf.js';
import { type Profile, profileOf } from './report.js';
import type { Stack } from './stacks.js';

export const SPAN_BYTES = 1024 * MIB;

/** Until V8 has compiled what is hot, and the load has found its pace. */
export const WARM_UP_SECONDS = 3;

/** What fio goes on for after the samples. */
const MARGIN_SECONDS = 2;

export interface SampledLoad {
  /** How it was sampled, in a sentence. */
  readonly method: string;
  readonly commandsPerSecond: number;
  readonly meanLatencyUs: number;
  readonly client: Sampled;
  readonly export: Sampled;
}

export interface Sampled {
  readonly profile: Profile;
  readonly commands: number;
  /** What the kernel says that the process used, a command: it should be what was sampled. */
  readonly processorUsPerCommand: number;
}

/** Takes samples of both processes for so long; what it resolves to reads them, client first. */
type Sampler = (pair: ProfiledPair, seconds: number) => Promise<() => Promise<[Stack[], Stack[]]>>;

export async function sampleLoad(
  t: Cleanup,
  load: ProfileCase,
  seconds: number,
): Promise<SampledLoad> {
  const { method, flags, sampler } = chooseSampler(t);
  const pair = await startProfiledPair(t, SPAN_BYTES, flags);
  await fill(t, pair.uri, SPAN_BYTES);
  const loadSeconds = WARM_UP_SECONDS + seconds + MARGIN_SECONDS;
  const loading = runLoad(t, pair.uri, load, loadSeconds, SPAN_BYTES);
  await sleep(WARM_UP_SECONDS * 1000);
  const used = usageSince(pair);
  const collect = await sampler(pair, seconds);
  const { clientUs, exportUs, tookSeconds } = used();
  const { commandsPerSecond, meanLatencyUs } = await loading;
  const [clientStacks, exportStacks] = await collect();
  const commands = commandsPerSecond * seconds;
  const sampled = (name: string, running: Running, stacks: Stack[], usedUs: number): Sampled => ({
    profile: profileOf(name, processIdOf(running), stacks),
    commands,
    processorUsPerCommand: usedUs / (commandsPerSecond * tookSeconds),
  });
  return {
    method,
    commandsPerSecond,
    meanLatencyUs,
    client: sampled('client (dst-quic connect)', pair.connecting, clientStacks, clientUs),
    export: sampled('export (dst-quic export)', pair.exporting, exportStacks, exportUs),
  };
}

function usageSince({ connecting, exporting }: ProfiledPair) {
  const startMs = performance.now();
  const before = [processorTimeUs(connecting), processorTimeUs(exporting)] as const;
  return () => ({
    clientUs: processorTimeUs(connecting) - before[0],
    exportUs: processorTimeUs(exporting) - before[1],
    tookSeconds: (performance.now() - startMs) / 1000,
  });
}

interface Choice {
  readonly method: string;
  readonly flags: ExtraFlags;
  readonly sampler: Sampler;
}

function chooseSampler(t: Cleanup): Choice {
  const missing = perfMissing();
  if (missing === undefined) {
    return {
      method: `perf, ${SAMPLES_PER_SECOND} samples a second of each thread that runs: JavaScript, native code and the kernel`,
      flags: { exporting: PERF_FLAGS, connecting: PERF_FLAGS },
      sampler: perfSampler(t),
    };
  }
  const folder = temporaryFolder(t);
  const flags = (name: string) => {
    mkdirSync(join(folder, name));
    return ['--cpu-prof', `--cpu-prof-dir=${join(folder, name)}`];
  };
  return {
    method: `V8's own sampler: the event loop's JavaScript only (${missing})`,
    flags: { exporting: flags('export'), connecting: flags('client') },
    sampler: v8Sampler(folder),
  };
}

function perfSampler(t: Cleanup): Sampler {
  return async ({ connecting, exporting }, seconds) => {
    const ids = [processIdOf(connecting), processIdOf(exporting)] as const;
    const read = await record(t, ids, seconds);
    return async () => {
      const stacks = read();
      return [stacks.get(ids[0]) ?? [], stacks.get(ids[1]) ?? []];
    };
  };
}

/** V8 writes its profile, of the whole run, when the process ends. */
function v8Sampler(folder: string): Sampler {
  return async ({ connecting, exporting }, seconds) => {
    const fromUs = nowUs();
    await sleep(seconds * 1000);
    const window: Window = { fromUs, untilUs: nowUs() };
    return async () => {
      await connecting.stop();
      await exporting.stop();
      return [
        readProfile(join(folder, 'client'), window),
        readProfile(join(folder, 'export'), window),
      ];
    };
  };
}

function readProfile(folder: string, window: Window): Stack[] {
  const [file] = readdirSync(folder);
  invariant(file !== undefined, 'a process that ended left no profile');
  return parseCpuProfile(
    JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile,
    window,
  );
}

/** The clock that V8's profiles are stamped with. */
function nowUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

function processIdOf({ child }: Running): number {
  invariant(child.pid !== undefined, 'a process that runs has an id');
  return child.pid;
}
