import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** A child process of the benchmark, and what it has used. */
export class Process {
  readonly #child: ChildProcess;
  #errors = '';

  private constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
  ) {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-4000);
    });
  }

  /** Starts a program and waits until `ready` holds; throws what it printed if it ends first. */
  static async start(
    name: string,
    command: string,
    args: readonly string[],
    ready: (output: string) => boolean,
  ): Promise<Process> {
    const process = new Process(name, command, args);
    let output = '';
    process.#child.stdout?.on('data', (text: Buffer) => {
      output += text.toString();
    });
    const deadlineMs = performance.now() + 15_000;
    while (!ready(output)) {
      if (process.#child.exitCode !== null || performance.now() > deadlineMs) {
        process.#child.kill('SIGKILL');
        throw new Error(`${name} did not start: ${process.#errors || output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return process;
  }

  /** User and system time used so far, seconds. */
  get cpuSeconds(): number {
    const fields = statFields(this.#child.pid);
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
  }

  /** Largest resident size so far, MiB. */
  get peakResidentMib(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 12_000);
    await ended;
    clearTimeout(timer);
  }
}

const CLOCK_TICKS = Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString()) || 100;

/** The fields of /proc/PID/stat after the program's name, which may hold anything. */
function statFields(pid: number | undefined): string[] {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}
