/** The real command at both ends, joined on loopback, and programs that are not ours. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scheme } from '../../src/client/address.js';
import {
  folderWithCertificates,
  type Outcome,
  type Running,
  startCommand,
  startProgram,
} from '../cli/command.js';
import type { Cleanup } from './cleanup.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** What may take this long hangs. */
const TOOL_DEADLINE_MS = 60_000;

// For `skipWithout` as well: nbdsh is a script for the system's own Python, and the tools for
// file systems are where only root looks.
process.env.PATH = `/usr/bin:${process.env.PATH}:/usr/sbin:/sbin`;

/** QUIC, and WebTransport over HTTP/2. */
export const ALL_SCHEMES: readonly Scheme[] = ['quic', 'https'];

/**
 * What moves bytes or breaks is tested over both; with BRIEF=1 over WebTransport alone. That is
 * for another Node than the first: HTTP/2 and TLS come with Node, and QUIC brings its own.
 */
export const SCHEMES = process.env.BRIEF === '1' ? (['https'] as const) : ALL_SCHEMES;

export interface PairOptions {
  /** The export's store: a new sparse file of so many bytes ... */
  readonly sizeBytes?: number;
  /** ... or what is at this path. */
  readonly store?: string;
  /** What joins the two; QUIC unless given. */
  readonly scheme?: Scheme;
  readonly exportArgs?: readonly string[];
  readonly connectArgs?: readonly string[];
}

/** Where an export of one store as "disk" is, or may be. */
export interface ExportPlace {
  /** Certificates are in `certs` here; tests may put their files beside them. */
  readonly folder: string;
  /** The file that holds the export's data. */
  readonly storePath: string;
  /** The export's address, with its name and the scheme that it is reached by. */
  readonly address: string;
}

/** An export, and a bridge that serves it. */
export interface Pair extends ExportPlace {
  readonly exporting: Running;
  readonly connecting: Running;
  readonly uri: string;
  readonly socketPath: string;
  /**
   * Ends both as a user would. Fails unless each ends with 0, and unless their logs are free
   * of warnings but `expected` ones: a transaction that was resent must not go unseen.
   */
  stop(expected?: RegExp): Promise<void>;
}

export async function startPair(t: Cleanup, options: PairOptions = {}): Promise<Pair> {
  const folder = await folderWithCertificates(t);
  const storePath = options.store ?? join(folder, 'store.img');
  if (options.store === undefined) makeSparse(storePath, options.sizeBytes ?? 64 * MIB);
  const exporting = startExport(t, folder, storePath, '127.0.0.1:0', options.exportArgs);
  const address = withScheme(await readyUri(exporting), options.scheme ?? 'quic');
  const socketPath = join(folder, 'bridge.sock');
  const connecting = connect(t, folder, address, socketPath, options.connectArgs);
  const uri = await readyUri(connecting);
  return {
    folder,
    storePath,
    address,
    exporting,
    connecting,
    uri,
    socketPath,
    async stop(expected) {
      for (const running of [connecting, exporting]) {
        const outcome = await running.stop();
        assert.equal(outcome.code, 0, outcome.stderr);
        const unexpected = warnings(outcome).filter((line) => expected?.test(line) !== true);
        assert.deepEqual(unexpected, []);
      }
    },
  };
}

/** The same export over another transport: it listens for each at one port number. */
function withScheme(address: string, scheme: Scheme): string {
  return address.replace(/^[a-z]+:/, `${scheme}:`);
}

/** Starts the client of an export; `readyUri` tells when it serves. */
export function connect(
  t: Cleanup,
  folder: string,
  address: string,
  socketPath: string,
  args: readonly string[] = [],
): Running {
  const words = ['connect', address, '--cert', 'certs/ca.pem', '--socket', socketPath, ...args];
  return startIn(t, folder, words);
}

/** Where either end serves, once it does. */
export async function readyUri(running: Running): Promise<string> {
  return (await running.line(0)).slice('ready '.length);
}

/** Starts an export of a store where a pair's was that has ended, or where none was yet. */
export async function exportAgain(t: Cleanup, place: ExportPlace): Promise<Running> {
  const { host } = new URL(place.address);
  const exporting = startExport(t, place.folder, place.storePath, host);
  await readyUri(exporting);
  return exporting;
}

function startExport(
  t: Cleanup,
  folder: string,
  storePath: string,
  listen: string,
  args: readonly string[] = [],
): Running {
  return startIn(t, folder, ['export', `disk=${storePath}`, '--listen', listen, ...args]);
}

/** A process that is killed leaves its temporary files, so those are the folder's too. */
function startIn(t: Cleanup, folder: string, words: readonly string[]): Running {
  return startCommand(t, words, { cwd: folder, env: { ...process.env, TMPDIR: folder } });
}

function warnings({ stderr }: Outcome): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{"level":"info"'));
}

// ---- Programs that are not ours ------------------------------------------------------

/** Starts a program; it is killed with the test, or past the deadline. */
export function startTool(t: Cleanup, program: string, args: readonly string[]): Running {
  const running = startProgram(t, program, args);
  const deadline = setTimeout(() => running.child.kill('SIGKILL'), TOOL_DEADLINE_MS);
  running.outcome.finally(() => clearTimeout(deadline));
  return running;
}

/** Runs a program to its end, and returns its standard output; fails unless it ends with 0. */
export async function tool(t: Cleanup, program: string, ...args: string[]): Promise<string> {
  const { code, signal, stdout, stderr } = await startTool(t, program, args).outcome;
  const how = `${program} ${args.join(' ')} ended with ${code ?? signal}`;
  assert.equal(code, 0, `${how}: ${stderr}${stdout}`);
  return stdout;
}

/** Runs lines of Python in nbdsh, where `h` is a handle that is connected to `uri`. */
export function nbdsh(t: Cleanup, uri: string, ...lines: string[]): Promise<string> {
  const code = [`uri = ${JSON.stringify(uri)}`, 'h.connect_uri(uri)', ...lines].join('\n');
  return tool(t, 'nbdsh', '-c', code);
}

// ---- Files and processes -------------------------------------------------------------

export function makeSparse(path: string, sizeBytes: number): void {
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
}

/** What a file takes on the disk, which is less than its size where it has holes. */
export function allocatedBytes(path: string): number {
  const { blocks } = statSync(path);
  return blocks * 512;
}

export function openDescriptors({ child }: { child: ChildProcess }): number {
  return readdirSync(`/proc/${child.pid}/fd`).length;
}

export function residentBytes({ child }: { child: ChildProcess }): number {
  return statusBytes(child, 'VmRSS');
}

/** The most that was ever resident. */
export function peakResidentBytes({ child }: { child: ChildProcess }): number {
  return statusBytes(child, 'VmHWM');
}

function statusBytes(child: ChildProcess, field: string): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  assert.ok(kibibytes !== undefined, `${field} of process ${child.pid}`);
  return Number(kibibytes) * KIB;
}
