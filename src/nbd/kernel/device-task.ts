import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { QueueSettings } from './queue-settings.js';

/** What is asked of a device that may be served by this very process. */
export type DeviceWork =
  | {
      readonly action: 'open';
      readonly path: string;
      /** As open(2) has them. */
      readonly flags: number;
      /** Whether to fsync(2) it, too. */
      readonly flush: boolean;
    }
  | { readonly action: 'set-queue'; readonly folder: string; readonly settings: QueueSettings };

/** What the process prints, in one line: why the system call failed, or what could not be set. */
export type DeviceReply =
  | { readonly failure: { readonly message: string; readonly errno?: number } }
  | { readonly unset: readonly string[] };

const PROGRAM = fileURLToPath(new URL('device-task-main.js', import.meta.url));

interface Process {
  readonly stdin: Writable;
  readonly stdout: Readable;
  kill(signal: NodeJS.Signals): boolean;
  unref(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'exit' | 'close', listener: (...how: readonly unknown[]) => void): unknown;
}

/**
 * Work on a device in a process of its own, which keeps the device open until it is let go.
 *
 * A thread that waits for a device cannot be killed, and as long as one of its threads lives, a
 * process keeps all that it has open: were it one of ours, a client that is killed would hold on
 * to its lock and to the kernel's sockets, and no other could take its device over, which is what
 * the thread waits for. So that process has nothing of ours but its pipes; it ends itself when
 * those are closed, as they are when this process ends, however that comes.
 */
export class DeviceTask {
  /** What could not be set. Rejects with the error of the system call; `failedWith` reads it. */
  readonly result: Promise<readonly string[]>;
  /** The process is gone, and so is what it had open. */
  readonly ended: Promise<void>;
  readonly #process: Process;

  /** Throws where there can be no process. */
  constructor(work: DeviceWork) {
    const child: Process = spawn(process.execPath, [PROGRAM, JSON.stringify(work)], {
      // A folder that is on no device of ours, and options of Node that are for the client.
      cwd: '/',
      env: { ...process.env, NODE_OPTIONS: '' },
      // In a session of its own, Ctrl-C does not reach it.
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#process = child;
    // It may be gone before its pipe is closed.
    child.stdin.on('error', () => {});
    this.ended = new Promise((resolve) => {
      child.on('error', () => resolve());
      child.once('exit', () => resolve());
    });
    this.result = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', (line) => {
        const reply: DeviceReply = JSON.parse(line);
        if ('unset' in reply) resolve(reply.unset);
        else reject(Object.assign(new Error(reply.failure.message), reply.failure));
      });
      child.on('error', reject);
      child.once('close', (code, signal) => {
        reject(new Error(`the process that does it has ended (${signal ?? code})`));
      });
    });
    this.result.catch(() => {});
  }

  /** Resolves once the device is closed. */
  letGo(): Promise<void> {
    this.#process.stdin.end();
    return this.ended;
  }

  /** Ends it, whatever it does, and waits for nothing: while it waits for the device it lives on. */
  giveUp(): void {
    this.#process.kill('SIGKILL');
    this.#process.stdin.destroy();
    this.#process.stdout.destroy();
    this.#process.unref();
  }
}

/** Does it in a process of its own, and waits for its end, however long that takes. */
export async function runDeviceTask(work: DeviceWork): Promise<readonly string[]> {
  const task = new DeviceTask(work);
  try {
    return await task.result;
  } finally {
    await task.letGo();
  }
}
