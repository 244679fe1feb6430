import { existsSync } from 'node:fs';
import { skipWithoutNamespaces } from '../../faults/namespaces.js';
import type { Cleanup } from '../../support/cleanup.js';
import { type Cell, NETWORK_CELLS } from '../cells.js';
import { formatRatio, formatSpread, percent } from '../columns.js';
import { BASELINE, type ContenderName, programsOf, startContenders } from '../contenders.js';
import { measureCell } from '../measure.js';
import { type Result, resultsOf } from '../result.js';
import { Rig } from '../rig.js';
import type { Settings } from '../settings.js';
import { median } from '../statistics.js';
import { type Column, Table } from '../table.js';
import { iopsBound } from '../wide-area/bound.js';
import { measureCapacity } from '../wide-area/capacity.js';
import { type Line, startLink } from '../wide-area/link.js';
import { describeEffort, effort, type Part, SIZE_BYTES } from './part.js';

const CONTENDERS: readonly ContenderName[] = ['nbd-tls', 'quic'];
const BITS_PER_SECOND = 1e9;
const RTTS_MS = [10, 50];
const LOSSES = [0, 0.001, 0.01];

/** Of the line that shows what the link itself is capable of. */
const UNLIMITED_BITS_PER_SECOND = 100e9;

interface Row extends Result {
  readonly rttMs: number;
  readonly loss: number;
  /** Of the most that the line allows. */
  readonly share: number;
  /** Of one processor, what carrying the packets took. */
  readonly linkCpuShare: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'line and cell', width: 42, words: true, text: ({ cell }) => cell },
  { title: 'contender', width: 9, words: true, text: ({ contender }) => contender },
  { title: 'IOPS (lowest-highest)', width: 18, text: ({ iops }) => formatSpread(iops) },
  { title: 'MB/s', width: 5, text: (row) => row.megabytesPerSecond.toFixed(1) },
  { title: 'of possible', width: 6, text: ({ share }) => percent(share, 0) },
  { title: `x ${BASELINE}`, width: 5, text: ({ ratio }) => formatRatio(ratio) },
  { title: 'p50 ms', width: 6, text: ({ p50Us }) => (p50Us / 1000).toFixed(1) },
  { title: 'p99 ms', width: 6, text: ({ p99Us }) => (p99Us / 1000).toFixed(1) },
  { title: "link's CPU", width: 5, text: ({ linkCpuShare }) => percent(linkCpuShare, 0) },
];

/** Server and client as two hosts, a long and lossy line apart. */
export const wideArea: Part = {
  title: 'Over a line of 1 Gbit/s, by round trip and loss',
  skip: () =>
    skipWithoutNamespaces() || (existsSync('/dev/net/tun') ? false : 'there is no /dev/net/tun'),
  programs: () => ['ip', 'gcc', ...programsOf(CONTENDERS)],
  async run(t, settings) {
    const capacity = {
      limited: await capacityOf(t, BITS_PER_SECOND),
      unlimited: await capacityOf(t, UNLIMITED_BITS_PER_SECOND),
    };
    const { run, rounds } = length(settings);
    const table = new Table(COLUMNS);
    console.log(`${describeEffort({ run, rounds })}\n\n${table.head()}`);
    const rows: Row[] = [];
    for (const rttMs of RTTS_MS) {
      for (const loss of LOSSES) {
        const print = (row: Row): void => console.log(table.row(row));
        rows.push(...(await alongLine(t, settings, lineOf(rttMs, loss), print)));
      }
    }
    return { capacity, results: rows };
  },
};

async function capacityOf(t: Cleanup, bitsPerSecond: number) {
  const rig = new Rig(t);
  try {
    const capacity = await measureCapacity(rig, { rttMs: 1, loss: 0, bitsPerSecond });
    const [carried, limit] = [capacity.bitsPerSecond, bitsPerSecond].map((bits) =>
      (bits / 1e9).toFixed(2),
    );
    const cpu = percent(capacity.cpuShare, 0);
    console.log(`the link alone, set to ${limit} Gbit/s: ${carried} Gbit/s, with ${cpu} of a CPU`);
    return capacity;
  } finally {
    await rig.close();
  }
}

/** All cells along one line, with contenders that have met no other. */
async function alongLine(
  t: Cleanup,
  settings: Settings,
  line: Line,
  print: (row: Row) => void,
): Promise<Row[]> {
  const nameOf = (cell: Cell): string => `${nameOfLine(line)}, ${cell.name}`;
  const cells = NETWORK_CELLS.filter((cell) => nameOf(cell).includes(settings.cell));
  if (cells.length === 0) return [];
  const rig = new Rig(t);
  try {
    const { hosts: place, carrier: link } = await startLink(rig, line);
    const { connectOptions, exportOptions } = settings;
    const setup = { rig, place, sizeBytes: SIZE_BYTES, connectOptions, exportOptions };
    const names = CONTENDERS.filter((name) => settings.contenders.includes(name));
    const contenders = await startContenders(names, setup);
    const field = { rig, place, contenders, link };
    const rows: Row[] = [];
    const { run, rounds } = length(settings);
    for (const cell of cells) {
      const measured = await measureCell(field, cell, run, rounds);
      for (const result of resultsOf(nameOf(cell), measured, BASELINE)) {
        const share = result.iops.median / iopsBound(cell, line);
        const linkCpuShare = median(
          result.samples.map(({ linkCpuSeconds, wallSeconds }) => linkCpuSeconds / wallSeconds),
        );
        const row = { ...result, rttMs: line.rttMs, loss: line.loss, share, linkCpuShare };
        print(row);
        rows.push(row);
      }
    }
    return rows;
  } finally {
    await rig.close();
  }
}

/** Each run begins as congestion control does, slowly: that is not counted. */
function length(settings: Settings) {
  return settings.quick ? effort(settings, 2500, 1, 1000) : effort(settings, 5000, 3, 2000);
}

function lineOf(rttMs: number, loss: number): Line {
  return { rttMs, loss, bitsPerSecond: BITS_PER_SECOND };
}

/** As "50 ms, 0.1 %". */
function nameOfLine({ rttMs, loss }: Line): string {
  return `${rttMs} ms, ${loss * 100} %`;
}
