/**
 * `make bench` and `make bench-wan`: dst-quic beside its peers, in one run, taking turns, so that
 * all meet the same machine in the same mood. docs/PERFORMANCE.md says what is measured. Prints
 * tables, and writes them with every sample to a file in bench-results.
 *
 *   QUICK=1            a first impression, in under two minutes
 *   PARTS=a,b          only these parts            ROUNDS=n   samples of each contender
 *   CELL=text          only cells whose name contains it
 *   CONTENDERS=a,b     only these
 *   BENCH_CONNECT_OPTIONS='…', BENCH_EXPORT_OPTIONS='…'   more options for our commands
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cleanups } from '../support/cleanup.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { describeMachine, machine } from './machine.js';
import { checksums } from './parts/checksums.js';
import { loopback } from './parts/loopback.js';
import { memory } from './parts/memory.js';
import { mtu } from './parts/mtu.js';
import type { Part } from './parts/part.js';
import { wideArea } from './parts/wide-area.js';
import { fioSpeaksNbd, missingPrograms } from './programs.js';
import { type PartName, parseSettings, type Settings } from './settings.js';

const PARTS: Readonly<Record<PartName, Part>> = {
  loopback,
  checksums,
  mtu,
  memory,
  'wide-area': wideArea,
};

const FOLDER = 'bench-results';

/** As a shell says it of a program that SIGINT ended. */
const INTERRUPTED = 130;

let cleanups = new Cleanups();
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true;
    void cleanups.run().finally(() => process.exit(INTERRUPTED));
  });
}

try {
  await bench(parseSettings(process.env));
} catch (error) {
  // What breaks off because its programs were ended is no news.
  if (!interrupted) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

async function bench(settings: Settings): Promise<void> {
  const runnable = settings.parts.filter((name) => !skipped(name));
  refuseWithoutPrograms(runnable, settings);
  const on = machine();
  console.log(describeMachine(on));
  const results: Record<string, unknown> = {};
  for (const name of runnable) {
    console.log(`\n## ${PARTS[name].title}\n`);
    results[name] = await runPart(PARTS[name], settings);
  }
  write(settings, { machine: on, settings, results });
}

async function runPart(part: Part, settings: Settings): Promise<unknown> {
  cleanups = new Cleanups();
  try {
    return await part.run(cleanups, settings);
  } finally {
    await cleanups.run();
  }
}

function skipped(name: PartName): boolean {
  const reason = PARTS[name].skip();
  if (reason !== false) console.log(`"${name}" is left out: ${reason}`);
  return reason !== false;
}

/** Better at once than after minutes. */
function refuseWithoutPrograms(names: readonly PartName[], settings: Settings): void {
  const programs = names.flatMap((name) => [...PARTS[name].programs(settings)]);
  const missing = missingPrograms(['fio', ...programs]);
  if (missing.length === 0 && !fioSpeaksNbd()) missing.push('this fio was built without libnbd');
  if (missing.length === 0) return;
  const hint = 'CONTENDERS=… and PARTS=… leave out who needs it';
  throw new Error([...missing, hint].join('\n'));
}

function write({ parts }: Settings, content: unknown): void {
  const file = parts.includes('loopback') ? 'latest.json' : `${parts.join('-')}.json`;
  mkdirSync(join(REPOSITORY_ROOT, FOLDER), { recursive: true });
  writeFileSync(join(REPOSITORY_ROOT, FOLDER, file), `${JSON.stringify(content, null, 2)}\n`);
  console.log(`\nwritten to ${FOLDER}/${file}`);
}
