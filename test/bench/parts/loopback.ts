import { ALL_CELLS, type Cell, QUICK_CELLS } from '../cells.js';
import { percent, ratioTable, whole } from '../columns.js';
import {
  BASELINE,
  CONTENDER_NAMES,
  type ContenderName,
  programsOf,
  startContenders,
  titleOf,
} from '../contenders.js';
import { LOOPBACK } from '../place.js';
import type { Process } from '../processes.js';
import { idleShare } from '../result.js';
import { Rig } from '../rig.js';
import { chosen, effort, measureAndPrint, type Part, SIZE_BYTES } from './part.js';

/** All contenders on one machine, joined by loopback. */
export const loopback: Part = {
  title: 'Both ends on this machine, over loopback',
  skip: () => false,
  programs: ({ contenders }) => programsOf(contenders),
  async run(t, settings) {
    const { quick, cell, contenders: names, connectOptions, exportOptions } = settings;
    const rig = new Rig(t);
    const setup = { rig, place: LOOPBACK, sizeBytes: SIZE_BYTES, connectOptions, exportOptions };
    const contenders = await startContenders(names, setup);
    for (const name of names) console.log(`${name.padEnd(14)}  ${titleOf(name)}`);
    // A cell that is named is measured, quick or not.
    const cells = chosen(quick && cell === '' ? QUICK_CELLS : ALL_CELLS, settings);
    if (quick) console.log(leftOut(names, cells));
    const results = await measureAndPrint(
      { rig, place: LOOPBACK, contenders },
      cells,
      effort(settings, quick ? 500 : 1500, quick ? 3 : 5),
      BASELINE,
    );
    const idle = idleShare(results);
    const peaks = contenders.flatMap(({ name, client, server }) => [
      ...(client === undefined ? [] : [peakOf(name, client)]),
      peakOf(name, server),
    ]);
    console.log(`\nThroughput as a ratio to ${BASELINE}:\n\n${ratioTable(results)}`);
    console.log(`\nThose who waited took ${percent(idle)} of a CPU, all together.`);
    for (const { contender, process, peakBytes } of peaks) {
      console.log(`${contender}, ${process}: ${whole(peakBytes / 1e6)} MB resident at most`);
    }
    return { results, idle, peaks };
  },
};

/** Of a quick run. */
function leftOut(names: readonly ContenderName[], cells: readonly Cell[]): string {
  const contenders = CONTENDER_NAMES.filter((name) => !names.includes(name));
  const others = ALL_CELLS.filter(({ name }) => cells.every((cell) => cell.name !== name));
  return `left out        ${[...contenders, ...others.map(({ name }) => name)].join('; ')}`;
}

interface Peak {
  readonly contender: string;
  readonly process: string;
  readonly peakBytes: number;
}

function peakOf(contender: string, { name, peakResidentBytes }: Process): Peak {
  return { contender, process: name, peakBytes: peakResidentBytes };
}
