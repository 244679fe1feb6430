/** A part of the benchmark: one question, one table. */
import type { Cleanup } from '../../support/cleanup.js';
import type { Cell } from '../cells.js';
import { resultTable } from '../columns.js';
import type { Run } from '../fio.js';
import { type Field, measureCell, warmUp } from '../measure.js';
import type { ProgramName } from '../programs.js';
import { type Result, resultsOf } from '../result.js';
import type { Settings } from '../settings.js';

/** Of each device, and as much is read and written: it stays in the page cache. */
export const SIZE_BYTES = 512 * 1024 * 1024;

export interface Part {
  readonly title: string;
  /** Why it cannot run here; false where it can. */
  skip(): string | false;
  programs(settings: Settings): readonly ProgramName[];
  /** Prints as it goes; what it returns is for the JSON file. */
  run(t: Cleanup, settings: Settings): Promise<unknown>;
}

/** How long, and how often. */
export interface Effort {
  readonly run: Run;
  readonly rounds: number;
}

/** Samples of this length, in so many rounds unless the settings say otherwise. */
export function effort({ rounds }: Settings, sampleMs: number, usual: number, rampMs = 0): Effort {
  return { run: { rampMs, sampleMs, spanBytes: SIZE_BYTES }, rounds: rounds ?? usual };
}

/** The same for a person. */
export function describeEffort({ run, rounds }: Effort): string {
  return `Medians of so many rounds: ${rounds}, of ${run.sampleMs / 1000} s for each contender.`;
}

/** The cells that the settings choose. */
export function chosen(cells: readonly Cell[], { cell }: Settings): readonly Cell[] {
  return cells.filter(({ name }) => name.includes(cell));
}

/** Measures each cell, and prints its rows when it is done. */
export async function measureAndPrint(
  field: Field,
  cells: readonly Cell[],
  length: Effort,
  baseline: string,
): Promise<Result[]> {
  const table = resultTable(baseline);
  await warmUp(field);
  console.log(`${describeEffort(length)}\n\n${table.head()}`);
  const results: Result[] = [];
  for (const cell of cells) {
    const rows = resultsOf(
      cell.name,
      await measureCell(field, cell, length.run, length.rounds),
      baseline,
    );
    for (const row of rows) console.log(table.row(row));
    results.push(...rows);
  }
  return results;
}
