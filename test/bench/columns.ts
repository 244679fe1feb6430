/** The tables of results: what stands in them, and how figures are written. */
import type { Result } from './result.js';
import type { Spread } from './statistics.js';
import { type Column, Table } from './table.js';

/** Of throughput, latency and processor time. */
export function resultTable(baseline: string): Table<Result> {
  return new Table<Result>([
    { title: 'cell', width: 29, words: true, text: ({ cell }) => cell },
    { title: 'contender', width: 14, words: true, text: ({ contender }) => contender },
    { title: 'IOPS (lowest-highest)', width: 22, text: ({ iops }) => formatSpread(iops) },
    { title: 'MB/s', width: 5, text: ({ megabytesPerSecond }) => whole(megabytesPerSecond) },
    { title: `x ${baseline}`, width: 5, text: ({ ratio }) => formatRatio(ratio) },
    { title: 'p50 us', width: 6, text: ({ p50Us }) => whole(p50Us) },
    { title: 'p99 us', width: 6, text: ({ p99Us }) => whole(p99Us) },
    { title: 'CPU s/GB', width: 5, text: ({ cpu }) => cpu.both.perGigabyte.toFixed(2) },
    { title: 'CPU s/M', width: 5, text: ({ cpu }) => whole(cpu.both.perMillionCommands) },
    { title: 'fio s/M', width: 5, text: ({ loadCpuUs }) => whole(loadCpuUs) },
    { title: 'idle', width: 4, text: ({ machineIdleShare }) => percent(machineIdleShare, 0) },
  ]);
}

/** A row a cell, with the ratio of each contender, for those who want no more. */
export function ratioTable(results: readonly Result[]): string {
  const contenders = [...new Set(results.map(({ contender }) => contender))];
  const cells = [...new Set(results.map(({ cell }) => cell))];
  const columns = contenders.map(
    (contender): Column<string> => ({
      title: contender,
      width: 5,
      text: (cell) => {
        const result = results.find((each) => each.cell === cell && each.contender === contender);
        return formatRatio(result?.ratio);
      },
    }),
  );
  const table = new Table<string>([
    { title: 'cell', width: 29, words: true, text: (cell) => cell },
    ...columns,
  ]);
  return [table.head(), ...cells.map((cell) => table.row(cell))].join('\n');
}

export function formatSpread({ median, lowest, highest }: Spread): string {
  return `${whole(median)} (${whole(lowest)}-${whole(highest)})`;
}

/** Empty where there is nothing to compare with. */
export function formatRatio(ratio: number | undefined): string {
  return ratio === undefined ? '' : ratio.toFixed(2);
}

export function percent(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)} %`;
}

export function whole(value: number): string {
  return value.toFixed(0);
}
