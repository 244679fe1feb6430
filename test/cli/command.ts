import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { generateCertificates } from '../../src/trust/generate.js';
import type { Cleanup } from '../support/cleanup.js';
import { IN_GUEST } from '../support/in-guest.js';
import { REPOSITORY_ROOT } from '../support/paths.js';

/** The command as it was built beside these tests. */
export const MAIN = fileURLToPath(new URL('../../src/cli/main.cjs', import.meta.url));

const HUGE_PAGES = '/sys/kernel/mm/transparent_hugepage/enabled';

const WRAPPER = readFileSync(join(REPOSITORY_ROOT, 'bin/dst-quic'), 'utf8');

// What it tells glibc, for all that is started from here.
const [, mapped] = /MALLOC_MMAP_THRESHOLD_:-(\d+)/.exec(WRAPPER) ?? [];
if (mapped !== undefined) process.env.MALLOC_MMAP_THRESHOLD_ ??= mapped;

/** What bin/dst-quic tells Node. */
const WRAPPER_FLAGS: readonly string[] =
  WRAPPER.replace('$pages', existsSync(HUGE_PAGES) ? 'silent' : 'off')
    .split('exec node')[1]
    ?.match(/--[a-z-]+(=\w+)?/g) ?? [];

const asksForPages = (flag: string): boolean => flag.startsWith('--use-largepages');

/** The one of them that changes what is resident, and else only the speed. */
export const LARGE_PAGES_FLAG = WRAPPER_FLAGS.find(asksForPages) ?? '';

/**
 * The tests run it as users do, on a Node of their choice, but for large pages: to fill these
 * costs each process 0.2 s of a CPU at its start, and there are hundreds of them.
 */
export const NODE_FLAGS = WRAPPER_FLAGS.filter((flag) => !asksForPages(flag));

/** Where clients meet, unless the test has a folder of its own for that. */
const RUNTIME_FOLDER_NAME = 'runtime';

/** Taken at once: the QUIC engine's wrapper gives its process another one, for itself. */
const TEMPORARY = tmpdir();

/** Where an export keeps its claims, in the folder that it runs in: never in a user's own. */
export const STATE_FOLDER_NAME = 'state';

/** Where a client keeps what worked, likewise. */
export const CACHE_FOLDER_NAME = 'cache';

/** What may take this long hangs. */
const DEADLINE_MS = IN_GUEST ? 90_000 : 30_000;

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** Lines of standard output; waits for the one at this index. */
  line(index: number): Promise<string>;
  /** How it ended; waits for the end. */
  readonly outcome: Promise<Outcome>;
  /** Waits until standard error has this in it. */
  logged(text: string): Promise<void>;
  /** Sends a signal, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Outcome>;
}

export function temporaryFolder(t: Cleanup): string {
  const folder = mkdtempSync(join(TEMPORARY, 'dst-quic-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with certificates for this machine in `certs`, to run commands in. */
export async function folderWithCertificates(t: Cleanup): Promise<string> {
  const folder = temporaryFolder(t);
  await generateCertificates({ directory: join(folder, 'certs'), hosts: [], days: 30 });
  return folder;
}

/** Runs `dst-quic ARGUMENTS` to its end, or kills it past the deadline. */
export async function runCommand(
  t: Cleanup,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Outcome> {
  const { child, outcome } = startCommand(t, args, options);
  const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
  return outcome.finally(() => clearTimeout(deadline));
}

/** Starts `dst-quic ARGUMENTS`; it is killed with the test. */
export function startCommand(
  t: Cleanup,
  args: readonly string[],
  options: SpawnOptions = {},
): Running {
  return startProgram(t, process.execPath, [...NODE_FLAGS, MAIN, ...args], options);
}

export function startProgram(
  t: Cleanup,
  program: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Running {
  const child = spawn(program, args, {
    ...options,
    // What a process leaves there goes away with the test's folder.
    env: {
      DST_QUIC_RUNTIME_DIR: join(`${options.cwd ?? TEMPORARY}`, RUNTIME_FOLDER_NAME),
      ...process.env,
      TMPDIR: `${options.cwd ?? TEMPORARY}`,
      ...options.env,
      STATE_DIRECTORY: join(`${options.cwd ?? TEMPORARY}`, STATE_FOLDER_NAME),
      CACHE_DIRECTORY: join(`${options.cwd ?? TEMPORARY}`, CACHE_FOLDER_NAME),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const lines: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const reader = createInterface(child.stdout).on('line', (text) => {
    lines.push(text);
    stdout += `${text}\n`;
  });
  const outcome = once(child, 'close').then(
    ([code, signal]): Outcome => ({ code, signal, stdout, stderr }),
  );
  t.after(async () => {
    child.kill('SIGKILL');
    await outcome;
  });
  const line = async (index: number): Promise<string> => {
    const waiting = { signal: AbortSignal.timeout(DEADLINE_MS) };
    for (;;) {
      const found = lines[index];
      if (found !== undefined) return found;
      const ended = await Promise.race([once(reader, 'line', waiting), outcome]);
      if (!Array.isArray(ended) && lines[index] === undefined) {
        throw new Error(`it ended (${ended.code}) before line ${index}: ${ended.stderr}`);
      }
    }
  };
  const logged = async (text: string): Promise<void> => {
    const waiting = { signal: AbortSignal.timeout(DEADLINE_MS) };
    while (!stderr.includes(text)) {
      const ended = await Promise.race([once(child.stderr, 'data', waiting), outcome]);
      if (!Array.isArray(ended) && !stderr.includes(text)) {
        throw new Error(`it ended (${ended.code}) before it logged "${text}": ${stderr}`);
      }
    }
  };
  return {
    child,
    line,
    outcome,
    logged,
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return outcome;
    },
  };
}

/** An export of a free port that is ready, and the addresses of its stores. */
export async function startExport(
  t: Cleanup,
  folder: string,
  args: readonly string[],
): Promise<Running & { addresses: string[] }> {
  const running = startCommand(t, ['export', '--listen', '127.0.0.1:0', ...args], { cwd: folder });
  const addresses: string[] = [];
  for (let i = 0; ; i++) {
    const text = await running.line(i);
    if (!text.startsWith('ready ')) return { ...running, addresses };
    addresses.push(text.slice('ready '.length));
  }
}

/** The lines of standard error that are not the log's. */
export function messageLines({ stderr }: Outcome): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{"level":'));
}
