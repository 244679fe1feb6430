import type { Cleanup } from '../support/cleanup.js';
import { startTool } from '../support/end-to-end.js';
import type { ProfileCase } from './cases.js';

export interface Load {
  readonly commandsPerSecond: number;
  /** From submission to completion, as fio sees it. */
  readonly meanLatencyUs: number;
}

/** Has fio's own NBD client do this for so long, on the first so many bytes of the device. */
export async function runLoad(
  t: Cleanup,
  uri: string,
  { pattern, blockBytes, depth }: ProfileCase,
  seconds: number,
  spanBytes: number,
): Promise<Load> {
  const { code, stdout, stderr } = await startTool(t, 'fio', [
    ...['--name=profile', '--ioengine=nbd', `--uri=${uri}`, '--output-format=json'],
    ...[`--rw=${pattern}`, `--bs=${blockBytes}`, `--iodepth=${depth}`, `--size=${spanBytes}`],
    ...['--time_based', `--runtime=${seconds}`, '--randrepeat=1', '--norandommap'],
  ]).outcome;
  if (code !== 0) throw new Error(`fio failed on ${uri}: ${stderr || stdout}`);
  const report = JSON.parse(stdout.slice(stdout.indexOf('{')));
  const [job] = report.jobs;
  const side = pattern.endsWith('read') ? job.read : job.write;
  if (job.error !== 0 || side.total_ios === 0) throw new Error(`fio got nowhere on ${uri}`);
  return { commandsPerSecond: side.iops, meanLatencyUs: side.lat_ns.mean / 1000 };
}

/** Writes the span once, so that reads meet data and writes meet blocks that are there. */
export async function fill(t: Cleanup, uri: string, spanBytes: number): Promise<void> {
  const { code, stderr, stdout } = await startTool(t, 'fio', [
    ...['--name=fill', '--ioengine=nbd', `--uri=${uri}`, '--rw=write', '--bs=1m', '--iodepth=8'],
    `--size=${spanBytes}`,
  ]).outcome;
  if (code !== 0) throw new Error(`fio failed on ${uri}: ${stderr || stdout}`);
}
