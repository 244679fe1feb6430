import { spawnSync } from 'node:child_process';

/** One workload: a row of the table. */
export interface Cell {
  readonly name: string;
  readonly pattern: 'randwrite' | 'randread' | 'write' | 'read';
  readonly blockBytes: number;
  readonly depth: number;
}

export interface Sample {
  readonly iops: number;
  readonly mibPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

interface FioSide {
  readonly iops: number;
  readonly bw_bytes: number;
  readonly total_ios: number;
  readonly clat_ns: { readonly percentile?: Record<string, number> };
}

/**
 * Runs fio's own NBD client against a server. Throws when fio reports an error or did no
 * I/O at all: a run that measured nothing is not a slow one.
 */
export function runFio(uri: string, cell: Cell, seconds: number, spanBytes: number): Sample {
  const { status, stdout, stderr } = spawnSync(
    'fio',
    [
      '--name=bench',
      '--ioengine=nbd',
      `--uri=${uri}`,
      `--rw=${cell.pattern}`,
      `--bs=${cell.blockBytes}`,
      `--iodepth=${cell.depth}`,
      `--size=${spanBytes}`,
      '--time_based',
      `--runtime=${seconds}`,
      '--randrepeat=1',
      '--norandommap',
      '--output-format=json',
    ],
    { maxBuffer: 64 << 20 },
  );
  const text = stdout.toString();
  if (status !== 0) throw new Error(`fio failed on ${uri}: ${stderr.toString() || text}`);
  const report = JSON.parse(text.slice(text.indexOf('{'))) as {
    jobs: readonly { read: FioSide; write: FioSide; error: number }[];
  };
  const job = report.jobs[0];
  if (job === undefined || job.error !== 0) throw new Error(`fio reports an error on ${uri}`);
  const side = cell.pattern.endsWith('read') ? job.read : job.write;
  if (side.total_ios === 0) throw new Error(`fio did no I/O on ${uri}`);
  return {
    iops: side.iops,
    mibPerSecond: side.bw_bytes / 2 ** 20,
    p50Us: (side.clat_ns.percentile?.['50.000000'] ?? 0) / 1000,
    p99Us: (side.clat_ns.percentile?.['99.000000'] ?? 0) / 1000,
  };
}
