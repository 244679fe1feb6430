/** One guest, as the host sees it: what it tells of its tests, and how it ended. */
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Running, startProgram } from '../cli/command.js';
import type { Cleanup } from '../support/cleanup.js';
import { IN_GUEST_VARIABLE } from '../support/in-guest.js';
import { REPOSITORY_ROOT } from '../support/paths.js';

/** What a guest may take: its tests are meant to take a third of it. */
const LIMIT_S = 360;
const LONG_LIMIT_S = 1800;

/** A line of the guest's standard output that begins like this tells of a test. */
export const RESULT_PREFIX = 'guest-test ';

/** How one test ended in the guest. */
export interface GuestResult {
  readonly name: string;
  readonly notes: readonly string[];
  /** Why it failed, if it did. */
  readonly failure?: string;
}

export interface GuestSettings {
  /** The compiled test file. */
  readonly file: string;
  readonly modules: readonly string[];
}

export class GuestRun {
  readonly #running: Running;
  readonly #results = new Map<string, GuestResult>();
  readonly #waiting = new Map<string, (result: GuestResult | undefined) => void>();

  /** Boots; the guest goes away with the tests. */
  constructor(t: Cleanup, { file, modules }: GuestSettings) {
    const limitS = process.env.LONG === '1' ? LONG_LIMIT_S : LIMIT_S;
    const options = ['-t', `${limitS}`, ...modules.flatMap((module) => ['-M', module])];
    // Its one CPU gains nothing by more threads of V8's, which take turns with the event loop.
    const NODE_OPTIONS = '--v8-pool-size=1';
    const inside = [process.execPath, '--enable-source-maps', file];
    const runner = join(REPOSITORY_ROOT, 'test/guest/run-in-kernel.sh');
    this.#running = startProgram(t, runner, [...options, '--', ...inside], {
      // The guest has the same folder, and what is written into it is the guest's.
      cwd: tmpdir(),
      env: { ...process.env, [IN_GUEST_VARIABLE]: '1', NODE_OPTIONS, NODE_TEST_CONTEXT: '' },
    });
    // By a signal that it can act on, before one that it can't: the kernel is its child.
    t.after(() => this.#running.stop('SIGTERM'));
    this.#read();
  }

  /** Waits until the test has ended; fails when the guest has, before that. */
  async result(name: string): Promise<GuestResult> {
    const told = this.#results.get(name) ?? (await this.#next(name));
    if (told !== undefined) return told;
    const { code, stdout, stderr } = await this.#running.outcome;
    throw new Error(`the guest ended (${code}) before this test:\n${stderr}${stdout}`);
  }

  /** Waits for the end, which must be a good one. */
  async ended(): Promise<void> {
    const { code, stderr } = await this.#running.outcome;
    assert.equal(code, 0, stderr);
  }

  #next(name: string): Promise<GuestResult | undefined> {
    return new Promise((resolve) => {
      this.#waiting.set(name, resolve);
      void this.#running.outcome.then(() => resolve(this.#results.get(name)));
    });
  }

  #read(): void {
    const { stdout } = this.#running.child;
    assert.ok(stdout !== null);
    createInterface(stdout).on('line', (line) => {
      if (!line.startsWith(RESULT_PREFIX)) return;
      const result = JSON.parse(line.slice(RESULT_PREFIX.length)) as GuestResult;
      this.#results.set(result.name, result);
      this.#waiting.get(result.name)?.(result);
    });
  }
}
