/**
 * `make profile CASE=…`: where the processor time of a load goes, at either end: a flame graph of
 * each process in profile-results/, and tables. The cases "floor", "engine" and "steps"
 * are in files of their own.
 *
 *   SECONDS=n    how long to sample (default 10, at most 45)
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, relative } from 'node:path';
import { Cleanups } from '../support/cleanup.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { CASES, type ProfileCase } from './cases.js';
import { measureEngine } from './engine.js';
import { flameGraphPage } from './flame-graph.js';
import { foldStacks } from './flame-tree.js';
import { measureFloor } from './floor.js';
import { tables } from './report.js';
import { type Sampled, type SampledLoad, sampleLoad } from './sampled-load.js';
import { measureSteps } from './steps.js';

const RESULTS = join(REPOSITORY_ROOT, 'profile-results');
const SECONDS = Number(process.env.SECONDS ?? 10);

const OTHERS: readonly { name: string; about: string; run(t: Cleanups): Promise<void> }[] = [
  { name: 'floor', about: 'what each step must cost on this machine', run: measureFloor },
  { name: 'engine', about: 'the QUIC engine alone, beside the peer over TLS', run: measureEngine },
  { name: 'steps', about: 'one 4 KiB write at depth 1, step by step', run: measureSteps },
];

const wanted = process.argv[2] ?? '';
const cleanups = new Cleanups();
process.once('SIGINT', () => void leave(130));
process.once('uncaughtException', (error) => {
  console.error(error);
  void leave(1);
});
try {
  const load = CASES.find(({ name }) => name === wanted);
  const other = OTHERS.find(({ name }) => name === wanted);
  if (load !== undefined) await profile(load);
  else if (other !== undefined) await other.run(cleanups);
  else listCases();
} catch (error) {
  console.error(`profile: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await cleanups.run();
}

/** Nothing that was started is left running. */
async function leave(exitCode: number): Promise<void> {
  await cleanups.run();
  process.exit(exitCode);
}

function listCases(): void {
  const lines = [
    ...CASES.map(({ name, pattern, blockBytes, depth }) => {
      return `${name.padEnd(14)} ${pattern}, ${blockBytes / 1024} KiB, ${depth} in flight`;
    }),
    ...OTHERS.map(({ name, about }) => `${name.padEnd(14)} ${about}`),
  ];
  if (wanted !== '') process.exitCode = 2;
  console.log(
    `${wanted === '' ? '' : `There is no case "${wanted}". `}make profile CASE=…, one of:`,
  );
  console.log(lines.map((line) => `  ${line}`).join('\n'));
}

async function profile(load: ProfileCase): Promise<void> {
  const sampled = await sampleLoad(cleanups, load, SECONDS);
  console.log(describe(load, sampled));
  for (const side of ['client', 'export'] as const) {
    const file = writeGraph(load, side, sampled[side], describe(load, sampled));
    console.log(`\n${tables(sampled[side].profile, sampled[side].commands, SECONDS)}`);
    const { processorUsPerCommand } = sampled[side];
    console.log(
      `\nThe kernel counted ${processorUsPerCommand.toFixed(1)} us a command. Graph: ${file}`,
    );
  }
}

function describe({ name }: ProfileCase, sampled: SampledLoad): string {
  const { method, commandsPerSecond, meanLatencyUs } = sampled;
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.version}`;
  const pace = `${commandsPerSecond.toFixed(0)} commands a second, ${meanLatencyUs.toFixed(0)} us each`;
  return `${name}: ${pace}. ${machine}. Sampled by ${method}.`;
}

/** Returns where it is. */
function writeGraph(load: ProfileCase, side: string, { profile }: Sampled, note: string): string {
  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, `${load.name}-${side}.html`);
  const root = foldStacks(`${load.name}: ${profile.name}`, profile.threads);
  writeFileSync(file, flameGraphPage(root, note));
  return relative(process.cwd(), file);
}
