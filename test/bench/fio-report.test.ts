import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFioReport } from './fio-report.js';

function report(job: object): string {
  return JSON.stringify({
    'fio version': 'fio-3.33',
    jobs: [{ error: 0, usr_cpu: 1.5, sys_cpu: 2.5, ...job }],
  });
}

function latencies(p50Ns: number, p99Ns: number) {
  return { percentile: { '50.000000': p50Ns, '99.000000': p99Ns } };
}

const MIXED = {
  total_ios: 1500,
  io_bytes: 1500 * 4096,
  iops: 1000,
  bw_bytes: 4_096_000,
  clat_ns: latencies(20_000, 90_500),
};

const NO_FLUSHES = { total_ios: 0, lat_ns: {} };

test('a report tells throughput, and latencies in microseconds', () => {
  assert.deepEqual(parseFioReport(report({ mixed: MIXED, sync: NO_FLUSHES })), {
    commands: 1500,
    bytes: 1500 * 4096,
    iops: 1000,
    bytesPerSecond: 4_096_000,
    p50Us: 20,
    p99Us: 90.5,
    loadCpuUs: 40,
  });
});

test('with flushes their latencies count', () => {
  const sync = { total_ios: 1500, lat_ns: latencies(700_000, 2_000_000) };
  const { commands, p50Us, p99Us } = parseFioReport(report({ mixed: MIXED, sync }));
  assert.deepEqual({ commands, p50Us, p99Us }, { commands: 1500, p50Us: 700, p99Us: 2000 });
});

test('what fio says before its report is passed over', () => {
  const text = `fio: a warning\n${report({ mixed: MIXED })}`;
  assert.equal(parseFioReport(text).iops, 1000);
});

test('a job that failed is no measurement', () => {
  assert.throws(() => parseFioReport(report({ mixed: MIXED, error: 5 })), /failed: 5/);
});

test('a job that did nothing is no measurement', () => {
  const idle = { ...MIXED, total_ios: 0 };
  assert.throws(() => parseFioReport(report({ mixed: idle })), /did no I\/O/);
});

test('words instead of a report are said again', () => {
  assert.throws(() => parseFioReport('fio: bad option'), /no report: fio: bad option/);
});

test('a report without percentiles is refused', () => {
  const bare = { ...MIXED, clat_ns: {} };
  assert.throws(() => parseFioReport(report({ mixed: bare })), /percentile 50/);
});
