/** A sparse file of 1 TiB beside one of 1 GiB: open, random I/O across it, its block status. */

import { Cleanups } from '../support/cleanup.js';
import { allocatedBytes, MIB, residentBytes, startPair, tool } from '../support/end-to-end.js';
import { grewTooMuch, markdown } from './growth-table.js';

const SIZES_BYTES = [1024 * MIB, 1024 * 1024 * MIB];
const DEPTH = 32;

/** Of the larger beside the smaller. */
const MEMORY_MIB = { timesMax: 1.3, plusMax: 64 };
const OPEN_MS = { timesMax: 2, plusMax: 500 };

/** NBD asks about 4 GiB at a time, so that 1 TiB takes 256 questions, one after the other. */
const MAP_MS = { timesMax: 2, plusMax: 2_000 };

const HEAD = [
  'size',
  'until ready, ms',
  'empty map, ms',
  'random 4 KiB writes, /s',
  'reads, /s',
  'map after, ms',
  'extents',
  'file holds, MiB',
  'export, MiB',
  'client, MiB',
];

interface SizeResult {
  readonly sizeBytes: number;
  readonly readyMs: number;
  readonly emptyMapMs: number;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly mapMs: number;
  readonly extents: number;
  readonly allocatedMib: number;
  readonly exportMib: number;
  readonly clientMib: number;
}

/** Prints the table; returns what is wrong. */
export async function growSize(quick: boolean): Promise<string[]> {
  const results: SizeResult[] = [];
  for (const sizeBytes of SIZES_BYTES) results.push(await withSize(sizeBytes, quick ? 2 : 5));
  console.log(`\nA sparse file, over NBD, ${DEPTH} in flight, at random across all of it:\n`);
  console.log(markdown(HEAD, results.map(row)));
  return [
    grewTooMuch(
      'the time until ready',
      results.map(({ readyMs }) => readyMs),
      OPEN_MS,
    ),
    grewTooMuch(
      'the time of an empty map',
      results.map(({ emptyMapMs }) => emptyMapMs),
      MAP_MS,
    ),
    grewTooMuch(
      'the export',
      results.map(({ exportMib }) => exportMib),
      MEMORY_MIB,
    ),
    grewTooMuch(
      'the client',
      results.map(({ clientMib }) => clientMib),
      MEMORY_MIB,
    ),
  ].filter((each) => each !== undefined);
}

async function withSize(sizeBytes: number, seconds: number): Promise<SizeResult> {
  const cleanups = new Cleanups();
  try {
    const startedMs = performance.now();
    const pair = await startPair(cleanups, { sizeBytes });
    const readyMs = performance.now() - startedMs;
    const empty = await mapOf(cleanups, pair.uri);
    const writesPerSecond = await fio(cleanups, pair.uri, 'randwrite', sizeBytes, seconds);
    const readsPerSecond = await fio(cleanups, pair.uri, 'randread', sizeBytes, seconds);
    const full = await mapOf(cleanups, pair.uri);
    const result = {
      sizeBytes,
      readyMs,
      emptyMapMs: empty.tookMs,
      writesPerSecond,
      readsPerSecond,
      mapMs: full.tookMs,
      extents: full.extents,
      allocatedMib: allocatedBytes(pair.storePath) / MIB,
      exportMib: residentBytes(pair.exporting) / MIB,
      clientMib: residentBytes(pair.connecting) / MIB,
    };
    await pair.stop();
    return result;
  } finally {
    await cleanups.run();
  }
}

/** Block status of the whole. */
async function mapOf(
  cleanups: Cleanups,
  uri: string,
): Promise<{ tookMs: number; extents: number }> {
  const startedMs = performance.now();
  const map = JSON.parse(await tool(cleanups, 'nbdinfo', '--map', '--json', uri)) as unknown[];
  return { tookMs: performance.now() - startedMs, extents: map.length };
}

/** Commands a second. */
async function fio(
  cleanups: Cleanups,
  uri: string,
  pattern: 'randwrite' | 'randread',
  sizeBytes: number,
  seconds: number,
): Promise<number> {
  const report = await tool(
    cleanups,
    'fio',
    ...['--name=growth', '--ioengine=nbd', `--uri=${uri}`, `--rw=${pattern}`, '--bs=4k'],
    ...[`--iodepth=${DEPTH}`, `--size=${sizeBytes}`, '--norandommap', '--random_generator=lfsr'],
    ...['--time_based', `--runtime=${seconds}`, '--output-format=json'],
  );
  const { jobs } = JSON.parse(report.slice(report.indexOf('{'))) as {
    jobs: { read: { iops: number }; write: { iops: number } }[];
  };
  const [job] = jobs;
  return (pattern === 'randread' ? job?.read.iops : job?.write.iops) ?? 0;
}

function row(result: SizeResult): (string | number)[] {
  return [
    `${result.sizeBytes / (1024 * MIB)} GiB`,
    result.readyMs,
    result.emptyMapMs,
    result.writesPerSecond,
    result.readsPerSecond,
    result.mapMs,
    result.extents,
    result.allocatedMib,
    result.exportMib,
    result.clientMib,
  ];
}
