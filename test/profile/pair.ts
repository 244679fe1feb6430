import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  folderWithCertificates,
  MAIN,
  NODE_FLAGS,
  type Running,
  startProgram,
} from '../cli/command.js';
import type { Cleanup } from '../support/cleanup.js';
import { makeSparse, readyUri } from '../support/end-to-end.js';

/** An export of a file over QUIC and its client, as `make bench` has them. */
export interface ProfiledPair {
  readonly exporting: Running;
  readonly connecting: Running;
  /** Where fio connects. */
  readonly uri: string;
}

export interface ExtraFlags {
  readonly exporting: readonly string[];
  readonly connecting: readonly string[];
}

/**
 * Starts both, with more flags for Node. Not on large pages, as other runs of ours are: perf
 * takes what Node moves there for code that V8 made.
 */
export async function startProfiledPair(
  t: Cleanup,
  sizeBytes: number,
  { exporting: exportFlags, connecting: connectFlags }: ExtraFlags,
): Promise<ProfiledPair> {
  const folder = await folderWithCertificates(t);
  const store = join(folder, 'store.img');
  makeSparse(store, sizeBytes);
  const start = (flags: readonly string[], words: readonly string[]) =>
    startProgram(t, process.execPath, [...PLAIN_FLAGS, ...flags, MAIN, ...words], { cwd: folder });
  const exporting = start(exportFlags, ['export', `bench=${store}`, '--listen', '127.0.0.1:0']);
  const socket = ['--socket', join(folder, 'bridge.sock')];
  const connecting = start(connectFlags, [
    ...['connect', await readyUri(exporting), '--cert', 'certs/ca.pem'],
    ...socket,
  ]);
  return { exporting, connecting, uri: await readyUri(connecting) };
}

const PLAIN_FLAGS = NODE_FLAGS.filter((flag) => !flag.startsWith('--use-largepages'));

const CLOCK_TICKS = Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString()) || 100;

/** The processor time that a process has used so far, microseconds. */
export function processorTimeUs({ child }: Pick<Running, 'child'>): number {
  const text = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
  // After the program's name, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS) * 1e6;
}
