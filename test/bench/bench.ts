/**
 * `make bench`: dst-quic beside nbdkit over TLS, in one run, alternating, so that both meet
 * the same machine in the same mood. Prints a table and writes bench-results/latest.json.
 *
 *   QUICK=1      shorter samples        ROUNDS=n    alternations (odd; default 5)
 *   CELL=text    only cells whose name contains it
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { type Contender, startContenders } from './contenders.js';
import { type Cell, runFio, type Sample } from './fio.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE_BYTES = 4096 * MIB;
const SPAN_BYTES = 1024 * MIB;
const QUICK = process.env.QUICK === '1';
const ROUNDS = Number(process.env.ROUNDS ?? (QUICK ? 3 : 5));
const SAMPLE_SECONDS = QUICK ? 1 : 3;
const COPY_BYTES = 4096 * MIB;

const CELLS: readonly Cell[] = [
  { name: '4 KiB random write, depth 1', pattern: 'randwrite', blockBytes: 4 * KIB, depth: 1 },
  { name: '4 KiB random read, depth 1', pattern: 'randread', blockBytes: 4 * KIB, depth: 1 },
  { name: '4 KiB random write, depth 32', pattern: 'randwrite', blockBytes: 4 * KIB, depth: 32 },
  { name: '4 KiB random read, depth 32', pattern: 'randread', blockBytes: 4 * KIB, depth: 32 },
  { name: '128 KiB write, depth 16', pattern: 'write', blockBytes: 128 * KIB, depth: 16 },
  { name: '128 KiB read, depth 16', pattern: 'read', blockBytes: 128 * KIB, depth: 16 },
  { name: '1 MiB write, depth 8', pattern: 'write', blockBytes: MIB, depth: 8 },
  { name: '1 MiB read, depth 8', pattern: 'read', blockBytes: MIB, depth: 8 },
];

interface Measured {
  readonly samples: Sample[];
  cpuSeconds: number;
  commands: number;
}

interface Row {
  readonly cell: string;
  readonly ours: Summary;
  readonly peer: Summary;
  readonly ratio: number;
}

interface Summary {
  readonly iops: number;
  readonly mibPerSecond: number;
  readonly lowest: number;
  readonly highest: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Of client and server together. */
  readonly cpuUsPerCommand: number;
}

const folder = mkdtempSync(join(REPOSITORY_ROOT, '.bench-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
process.env.STATE_DIRECTORY = join(folder, 'state');
process.once('SIGINT', () => process.exit(130));

const set = await startContenders(folder, SIZE_BYTES);
try {
  fill([set.ours, set.peer]);
  const wanted = CELLS.filter((cell) => cell.name.includes(process.env.CELL ?? ''));
  const rows: Row[] = [];
  console.log(header());
  for (const cell of wanted) {
    const row = measure(cell, set.ours, set.peer);
    rows.push(row);
    console.log(line(row));
  }
  const memory = process.env.CELL ? [] : copyThrough(set.ours);
  report(rows, memory);
} finally {
  await set.stop();
}

/** Writes the whole span once, so that reads meet data and writes meet allocated blocks. */
function fill(contenders: readonly Contender[]): void {
  const cell: Cell = { name: 'fill', pattern: 'write', blockBytes: MIB, depth: 8 };
  for (const { uri } of contenders) runFio(uri, cell, SPAN_BYTES / (150 * MIB), SPAN_BYTES);
}

function measure(cell: Cell, ours: Contender, peer: Contender): Row {
  const results = new Map<Contender, Measured>();
  for (const contender of [ours, peer]) {
    results.set(contender, { samples: [], cpuSeconds: 0, commands: 0 });
  }
  for (let round = 0; round < ROUNDS; round++) {
    // Taking turns at going first, so that neither always finds the caches of the other.
    const order = round % 2 === 0 ? [ours, peer] : [peer, ours];
    for (const contender of order) sample(contender, cell, results.get(contender) as Measured);
  }
  const oursSummary = summarise(results.get(ours) as Measured);
  const peerSummary = summarise(results.get(peer) as Measured);
  return {
    cell: cell.name,
    ours: oursSummary,
    peer: peerSummary,
    ratio: oursSummary.iops / peerSummary.iops,
  };
}

function sample(contender: Contender, cell: Cell, into: Measured): void {
  const before = cpuOf(contender);
  const result = runFio(contender.uri, cell, SAMPLE_SECONDS, SPAN_BYTES);
  into.samples.push(result);
  into.cpuSeconds += cpuOf(contender) - before;
  into.commands += result.iops * SAMPLE_SECONDS;
}

function cpuOf({ processes }: Contender): number {
  return processes.reduce((sum, process) => sum + process.cpuSeconds, 0);
}

function summarise({ samples, cpuSeconds, commands }: Measured): Summary {
  const median = (pick: (sample: Sample) => number): number => {
    const sorted = samples.map(pick).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? 0;
  };
  const iops = samples.map((each) => each.iops);
  return {
    iops: median((each) => each.iops),
    mibPerSecond: median((each) => each.mibPerSecond),
    lowest: Math.min(...iops),
    highest: Math.max(...iops),
    p50Us: median((each) => each.p50Us),
    p99Us: median((each) => each.p99Us),
    cpuUsPerCommand: (cpuSeconds * 1e6) / commands,
  };
}

/** Moves COPY_BYTES in and out, and says what each process came to hold at most. */
function copyThrough(ours: Contender): string[] {
  const seconds = QUICK ? 4 : 20;
  for (const pattern of ['write', 'read'] as const) {
    const cell: Cell = { name: 'copy', pattern, blockBytes: MIB, depth: 8 };
    runFio(ours.uri, cell, seconds, COPY_BYTES);
  }
  return ours.processes.map(
    ({ name, peakResidentMib }) => `${name}: ${Math.round(peakResidentMib)} MiB at most`,
  );
}

function header(): string {
  return [
    `${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.version}, ` +
      `${ROUNDS} rounds of ${SAMPLE_SECONDS} s each, medians (lowest-highest)`,
    '',
    row(
      '',
      'dst-quic IOPS',
      'MiB/s',
      'nbdkit TLS IOPS',
      'MiB/s',
      'ratio',
      'p99 us',
      'CPU us/command',
    ),
  ].join('\n');
}

function line({ cell, ours, peer, ratio }: Row): string {
  return row(
    cell,
    `${Math.round(ours.iops)} (${Math.round(ours.lowest)}-${Math.round(ours.highest)})`,
    ours.mibPerSecond.toFixed(0),
    `${Math.round(peer.iops)} (${Math.round(peer.lowest)}-${Math.round(peer.highest)})`,
    peer.mibPerSecond.toFixed(0),
    ratio.toFixed(2),
    `${Math.round(ours.p99Us)} / ${Math.round(peer.p99Us)}`,
    `${ours.cpuUsPerCommand.toFixed(0)} / ${peer.cpuUsPerCommand.toFixed(0)}`,
  );
}

function row(...columns: string[]): string {
  const widths = [28, 22, 6, 22, 6, 6, 16, 15];
  return columns
    .map((text, i) => (i === 0 ? text.padEnd(28) : text.padStart(widths[i] ?? 0)))
    .join(' ');
}

function report(rows: readonly Row[], memory: readonly string[]): void {
  for (const text of memory) console.log(text);
  const results = join(REPOSITORY_ROOT, 'bench-results');
  mkdirSync(results, { recursive: true });
  const file = join(results, 'latest.json');
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
  writeFileSync(file, `${JSON.stringify({ machine, rows, memory }, null, 2)}\n`);
  console.log(`\nwritten to bench-results/latest.json`);
}
