import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const START_TIMEOUT_MS = 15_000;

/** Our own processes flush what is in flight for up to 10 s. */
const STOP_TIMEOUT_MS = 12_000;

const POLL_MS = 20;

/** Of what a program prints as much as tells why it failed. */
const KEPT_CHARACTERS = 4000;

const CLOCK_TICKS = Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString()) || 100;

export interface Program {
  /** What it is called in messages. */
  readonly name: string;
  readonly words: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Ends when its standard input does, so when we do, however that is. */
  readonly holdInput?: boolean;
}

/** A child process of the benchmark, and what it has used. */
export class Process {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #ended = false;
  #output = '';
  #errors = '';

  /** Starts a program. Where it cannot be started, it has ended, and its errors say why. */
  constructor({ name, words, env = process.env, holdInput = false }: Program) {
    const [command = '', ...args] = words;
    this.name = name;
    this.#child = spawn(command, args, {
      env,
      stdio: [holdInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (text: Buffer) => {
      this.#output += text.toString();
    });
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-KEPT_CHARACTERS);
    });
    this.#gone = new Promise((resolve) => {
      const end = (error?: Error): void => {
        if (error instanceof Error) this.#errors += error.message;
        this.#ended = true;
        resolve();
      };
      this.#child.once('error', end);
      this.#child.once('close', () => end());
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} was not started`);
    return this.#child.pid;
  }

  /** What it has printed. */
  get output(): string {
    return this.#output;
  }

  /** Waits until `ready` holds; throws what it printed if it ends first, or takes too long. */
  async until(ready: (process: Process) => boolean): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    if (this.#child.pid === undefined) await this.#gone;
    while (this.#ended || !ready(this)) {
      if (this.#ended || performance.now() > deadlineMs) {
        throw new Error(`${this.name} did not start: ${this.#errors || this.#output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Waits for its end, and returns what it printed; throws unless it ended well. */
  async succeeded(): Promise<string> {
    await this.#gone;
    if (this.#child.exitCode === 0) return this.#output;
    const how = this.#child.exitCode ?? this.#child.signalCode ?? 'no start';
    throw new Error(`${this.name} ended with ${how}: ${this.#errors || this.#output}`);
  }

  /** User and system time used so far, seconds; nothing once it has ended. */
  get cpuSeconds(): number {
    const fields = statFields(this.pid);
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / CLOCK_TICKS;
  }

  /** Largest resident size so far, or since `forgetPeak`. */
  get peakResidentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  }

  forgetPeak(): void {
    // proc(5), /proc/pid/clear_refs: 5 resets the peak.
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
  }

  /** Ends it as a user would, or kills it past a deadline; nothing where it has ended. */
  async stop(): Promise<void> {
    if (this.#ended) return;
    if (this.#child.stdin === null) this.#child.kill('SIGTERM');
    else this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#gone;
    clearTimeout(timer);
  }
}

/** The fields of /proc/PID/stat after the program's name, which may hold anything. */
function statFields(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}
