/** The processes that `make bench-growth` starts: an export of the real command, and a client. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  folderWithCertificates,
  NODE_FLAGS,
  type Running,
  startCommand,
  startProgram,
} from '../cli/command.js';
import { Cleanups } from '../support/cleanup.js';
import type { ClientJob } from './growth-job.js';

const CLIENT = fileURLToPath(new URL('./growth-client.js', import.meta.url));
const HOST = '127.0.0.1';

type Job = ClientJob extends infer Each
  ? Each extends ClientJob
    ? Omit<Each, 'host' | 'port' | 'exportName' | 'caCertificate' | 'exportPid'>
    : never
  : never;

export interface Exporting {
  readonly pid: number;
  /** Starts a client that does a job; what it prints comes as it is measured. */
  results<T>(job: Job): AsyncGenerator<T>;
}

/** Does something with an export of memory, whatever it is asked to take. */
export async function withExport<T>(
  args: readonly string[],
  action: (exporting: Exporting) => Promise<T>,
): Promise<T> {
  const cleanups = new Cleanups();
  try {
    const folder = await folderWithCertificates(cleanups);
    const running = startCommand(
      cleanups,
      ['export', 'vol=memory:1G', '--listen', `${HOST}:0`, '--no-webtransport', ...args],
      { cwd: folder },
    );
    const { port } = new URL((await running.line(0)).slice('ready '.length));
    const where = {
      host: HOST,
      port: Number(port),
      exportName: 'vol',
      caCertificate: join(folder, 'certs/ca.pem'),
      exportPid: pidOf(running),
    };
    return await action({
      pid: where.exportPid,
      results: (job) => results(startClient(cleanups, folder, { ...where, ...job })),
    });
  } finally {
    await cleanups.run();
  }
}

function startClient(cleanups: Cleanups, folder: string, job: ClientJob): Running {
  // What the client holds should be what ours would.
  const args = [...NODE_FLAGS, CLIENT, JSON.stringify(job)];
  return startProgram(cleanups, process.execPath, args, { cwd: folder });
}

async function* results<T>({ child, outcome }: Running): AsyncGenerator<T> {
  assert.ok(child.stdout !== null);
  for await (const line of createInterface(child.stdout)) yield JSON.parse(line) as T;
  const { code, signal, stderr } = await outcome;
  if (code !== 0) throw new Error(`the bench's client ended with ${code ?? signal}: ${stderr}`);
}

function pidOf({ child }: Running): number {
  assert.ok(child.pid !== undefined, 'a process that has started has an id');
  return child.pid;
}
