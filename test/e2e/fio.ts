import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { MIB, type Pair, startTool } from '../support/end-to-end.js';

const JOBS = 4;

/** Each job has a region of its own: overlapping writes have no order that could be verified. */
const JOB_BYTES = 6 * MIB;

/** What the export must have for `verifiedWrites`. */
export const FIO_STORE_BYTES = JOBS * JOB_BYTES;

export interface FioResult {
  readonly code: number | null;
  readonly errors: string;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

/** Random I/O of mixed sizes at depth 32; each block carries its checksum, and is verified. */
export async function runVerifyingFio(
  t: TestContext,
  pair: Pair,
  pattern: 'randwrite' | 'randrw',
  ...more: string[]
): Promise<FioResult> {
  const { code, stdout, stderr } = await startTool(t, 'fio', [
    '--name=verified',
    // Else it leaves files in the current folder.
    '--verify_state_save=0',
    '--ioengine=nbd',
    `--uri=${pair.uri}`,
    `--rw=${pattern}`,
    '--bssplit=512/20:4k/40:64k/30:256k/10',
    '--iodepth=32',
    `--numjobs=${JOBS}`,
    `--size=${JOB_BYTES}`,
    `--offset_increment=${JOB_BYTES}`,
    '--verify=crc32c',
    '--verify_fatal=1',
    '--group_reporting',
    '--output-format=json',
    ...more,
  ]).outcome;
  assert.ok(stdout.includes('{'), `fio reports nothing: ${stderr}`);
  const report = JSON.parse(stdout.slice(stdout.indexOf('{')));
  const [{ read, write, error }] = report.jobs;
  return {
    code: code === 0 ? error : code,
    errors: stderr,
    readBytes: read.io_bytes,
    writtenBytes: write.io_bytes,
  };
}
