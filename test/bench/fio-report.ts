/** What fio says at its end, as JSON (fio's HOWTO, "JSON output"). */

export interface FioSample {
  /** Reads and writes that ended while it measured; flushes are not among them. */
  readonly commands: number;
  readonly bytes: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  /** From submission to completion; of the flushes, where there are any. */
  readonly p50Us: number;
  readonly p99Us: number;
  /** Processor time of fio itself, for each command, of which its own and libnbd's NBD client are part. */
  readonly loadCpuUs: number;
}

interface Latencies {
  readonly percentile?: Readonly<Record<string, number>>;
}

interface Job {
  readonly error: number;
  /** Percent of the time that it measured; one thread does it all. */
  readonly usr_cpu: number;
  readonly sys_cpu: number;
  readonly mixed?: {
    readonly total_ios: number;
    readonly io_bytes: number;
    readonly iops: number;
    readonly bw_bytes: number;
    readonly clat_ns: Latencies;
  };
  readonly sync?: { readonly total_ios: number; readonly lat_ns: Latencies };
}

/**
 * Reads the report of one job whose reads and writes are reported as one
 * (`--unified_rw_reporting=mixed`). Throws where the job failed, and where it did nothing: a run
 * that measured nothing is not a slow one.
 */
export function parseFioReport(text: string): FioSample {
  const begin = text.indexOf('{');
  if (begin < 0) throw new Error(`fio printed no report: ${text.slice(0, 200)}`);
  const report = JSON.parse(text.slice(begin)) as { readonly jobs?: readonly Job[] };
  const job = report.jobs?.[0];
  if (job === undefined || job.error !== 0) throw new Error(`fio's job failed: ${job?.error}`);
  const { mixed, sync } = job;
  if (mixed === undefined || mixed.total_ios === 0) throw new Error('fio did no I/O');
  const latencies = sync !== undefined && sync.total_ios > 0 ? sync.lat_ns : mixed.clat_ns;
  return {
    commands: mixed.total_ios,
    bytes: mixed.io_bytes,
    iops: mixed.iops,
    bytesPerSecond: mixed.bw_bytes,
    p50Us: percentileUs(latencies, '50.000000'),
    p99Us: percentileUs(latencies, '99.000000'),
    loadCpuUs: ((job.usr_cpu + job.sys_cpu) / 100 / mixed.iops) * 1e6,
  };
}

function percentileUs({ percentile }: Latencies, name: string): number {
  const ns = percentile?.[name];
  if (ns === undefined) throw new Error(`fio's report has no percentile ${name}`);
  return ns / 1000;
}
