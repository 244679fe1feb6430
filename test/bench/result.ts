/** What the measurements of a contender come to. */
import type { Measured, Measurement } from './measure.js';
import { median, medianRatio, type Spread, spread } from './statistics.js';

const MILLION = 1e6;
const GIGABYTE = 1e9;

export interface Result {
  readonly cell: string;
  readonly contender: string;
  readonly iops: Spread;
  readonly megabytesPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Processor time, seconds. */
  readonly cpu: { readonly both: Cpu; readonly client: Cpu; readonly server: Cpu };
  /** What the load itself takes for a command, microseconds of processor time. */
  readonly loadCpuUs: number;
  /** The share of the machine's time that nobody used. */
  readonly machineIdleShare: number;
  /** Of throughput, to the baseline's; undefined where that was not measured. */
  readonly ratio: number | undefined;
  readonly samples: readonly Measurement[];
}

interface Cpu {
  readonly perGigabyte: number;
  readonly perMillionCommands: number;
}

/** A result for each contender, compared with the one of that name. */
export function resultsOf(cell: string, measured: Measured, baseline: string): Result[] {
  const base = [...measured].find(([{ name }]) => name === baseline)?.[1];
  return [...measured].map(([{ name }, samples]) => ({
    cell,
    contender: name,
    iops: spread(samples.map(({ iops }) => iops)),
    megabytesPerSecond: medianOf(samples, ({ bytesPerSecond }) => bytesPerSecond / MILLION),
    p50Us: medianOf(samples, ({ p50Us }) => p50Us),
    p99Us: medianOf(samples, ({ p99Us }) => p99Us),
    cpu: {
      both: cpu(samples, (each) => each.clientCpuSeconds + each.serverCpuSeconds),
      client: cpu(samples, (each) => each.clientCpuSeconds),
      server: cpu(samples, (each) => each.serverCpuSeconds),
    },
    loadCpuUs: medianOf(samples, ({ loadCpuUs }) => loadCpuUs),
    machineIdleShare: medianOf(samples, ({ machineIdleShare }) => machineIdleShare),
    ratio: base === undefined ? undefined : medianRatio(iopsOf(samples), iopsOf(base)),
    samples,
  }));
}

/** The share of one processor that those took who were not measured, all together. */
export function idleShare(results: readonly Result[]): number {
  const samples = results.flatMap((result) => result.samples);
  const sum = (pick: (sample: Measurement) => number) =>
    samples.reduce((total, sample) => total + pick(sample), 0);
  return sum(({ idleCpuSeconds }) => idleCpuSeconds) / sum(({ wallSeconds }) => wallSeconds);
}

function cpu(samples: readonly Measurement[], seconds: (sample: Measurement) => number): Cpu {
  return {
    perGigabyte: medianOf(samples, (each) => (seconds(each) / each.bytes) * GIGABYTE),
    perMillionCommands: medianOf(samples, (each) => (seconds(each) / each.commands) * MILLION),
  };
}

function medianOf(samples: readonly Measurement[], pick: (sample: Measurement) => number): number {
  return median(samples.map(pick));
}

function iopsOf(samples: readonly Measurement[]): number[] {
  return samples.map(({ iops }) => iops);
}
