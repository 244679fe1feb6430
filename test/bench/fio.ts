import { type Cell, MIX_READ_PERCENT } from './cells.js';

/** How long fio runs, and where. */
export interface Run {
  /** Before it counts anything. */
  readonly rampMs: number;
  readonly sampleMs: number;
  /** Of the device, from its start. */
  readonly spanBytes: number;
}

/** The words that have fio's own NBD client load the server at `uri`. */
export function fioWords(uri: string, cell: Cell, run: Run): string[] {
  return [
    ...['fio', '--name=bench', '--ioengine=nbd', `--uri=${uri}`],
    ...[`--rw=${cell.pattern}`, `--rwmixread=${MIX_READ_PERCENT}`],
    ...[`--bs=${cell.blockBytes}`, `--iodepth=${cell.depth}`, `--size=${run.spanBytes}`],
    ...(cell.flushed === true ? ['--fsync=1'] : []),
    ...['--time_based', `--ramp_time=${run.rampMs}ms`, `--runtime=${run.sampleMs}ms`],
    // The same offsets each time, so that all meet the same work.
    ...['--randrepeat=1', '--norandommap'],
    ...['--unified_rw_reporting=mixed', '--output-format=json'],
  ];
}

/** The words that have it write the whole span once. */
export function fillWords(uri: string, spanBytes: number): string[] {
  return [
    ...['fio', '--name=fill', '--ioengine=nbd', `--uri=${uri}`],
    ...['--rw=write', '--bs=1M', '--iodepth=8', `--size=${spanBytes}`],
  ];
}
