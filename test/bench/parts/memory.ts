import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKSUM_CELLS } from '../cells.js';
import { percent, whole } from '../columns.js';
import { fioWords } from '../fio.js';
import { GC_FOLDER_VARIABLE, type Pause, type PauseSummary, summarisePauses } from '../gc-log.js';
import { warmUp } from '../measure.js';
import { LOOPBACK } from '../place.js';
import type { Process } from '../processes.js';
import { Rig } from '../rig.js';
import { startOurs } from '../start-ours.js';
import { type Column, Table } from '../table.js';
import { chosen, effort, type Part, SIZE_BYTES } from './part.js';

const GC_WATCH = new URL('../gc-watch.js', import.meta.url).href;

interface Held {
  readonly cell: string;
  readonly process: Process;
  readonly peakBytes: number;
  readonly beginMs: number;
  readonly endMs: number;
}

interface Row extends PauseSummary {
  readonly cell: string;
  readonly process: string;
  readonly peakBytes: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'cell', width: 29, words: true, text: ({ cell }) => cell },
  { title: 'process', width: 16, words: true, text: ({ process }) => process },
  { title: 'resident at most, MB', width: 4, text: ({ peakBytes }) => whole(peakBytes / 1e6) },
  { title: 'time in collection', width: 6, text: ({ share }) => percent(share, 2) },
  { title: 'pauses', width: 5, text: ({ pauses }) => `${pauses}` },
  { title: 'longest, ms', width: 5, text: ({ longestMs }) => longestMs.toFixed(1) },
];

/** What our processes hold, and how long their collectors hold them up; in a run of its own. */
export const memory: Part = {
  title: 'Memory of dst-quic over QUIC with a file',
  skip: () => false,
  programs: () => [],
  async run(t, settings) {
    const { quick, connectOptions, exportOptions } = settings;
    const rig = new Rig(t);
    const env = {
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${GC_WATCH}`.trim(),
      [GC_FOLDER_VARIABLE]: rig.folder,
    };
    const place = LOOPBACK;
    const setup = { rig, place, sizeBytes: SIZE_BYTES, connectOptions, exportOptions, env };
    const ends = await startOurs(setup, { id: 'quic', scheme: 'quic', store: 'file' });
    const processes = ends.client === undefined ? [ends.server] : [ends.client, ends.server];
    const { run } = effort(settings, quick ? 1500 : 5000, 1);
    await warmUp({ rig, place, contenders: [{ name: 'quic', ...ends }] });
    const held: Held[] = [];
    for (const cell of chosen(CHECKSUM_CELLS, settings)) {
      for (const process of processes) process.forgetPeak();
      const beginMs = Date.now();
      await rig.run(fioWords(ends.uri, cell, run));
      const endMs = Date.now();
      for (const process of processes) {
        const { peakResidentBytes: peakBytes } = process;
        held.push({ cell: cell.name, process, peakBytes, beginMs, endMs });
      }
    }
    // Each writes down what it saw when it ends.
    for (const process of processes) await process.stop();
    const rows = held.map(({ cell, process, peakBytes, beginMs, endMs }): Row => {
      const summary = summarisePauses(pausesOf(rig.folder, process), beginMs, endMs);
      return { cell, process: process.name, peakBytes, ...summary };
    });
    const table = new Table(COLUMNS);
    console.log([table.head(), ...rows.map((row) => table.row(row))].join('\n'));
    return { results: rows };
  },
};

/** Of all its threads: each holds up what it does. */
function pausesOf(folder: string, { pid }: Process): Pause[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith(`gc-${pid}-`))
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Pause[]);
}
