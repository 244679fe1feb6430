/** Loaded into a process before its own code: notes when it comes by certain functions. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { invariant } from '../../../src/errors.js';

/** What a process leaves behind: what it came by, and when, in the order of time. */
export interface MarksFile {
  readonly names: readonly string[];
  /** Which of the names. */
  readonly indexes: readonly number[];
  /** On the clock that all processes and the kernel share (CLOCK_MONOTONIC), ns. */
  readonly timesNs: readonly number[];
}

/** What is kept, of the end: some 10,000 commands of twenty marks. */
const MARKS_MAX = 1 << 18;

type Method = (this: unknown, ...args: readonly unknown[]) => unknown;

export class Marks {
  readonly #names: string[] = [];
  readonly #indexes = new Uint8Array(MARKS_MAX);
  readonly #timesNs = new BigUint64Array(MARKS_MAX);
  #count = 0;

  /** Writes them to the file that the loading module's URL tells (`?out=FILE`) at the exit. */
  constructor(moduleUrl: string) {
    const out = new URL(moduleUrl).searchParams.get('out');
    invariant(out !== null, `${fileURLToPath(moduleUrl)} was loaded without a file to write to`);
    process.once('exit', () => writeFileSync(out, JSON.stringify(this.#take())));
  }

  /** Notes each call of this method, and its return (of a promise, at once) where that is named. */
  watch(owner: object, method: string, called: string | undefined, returned?: string): void {
    const original: unknown = Reflect.get(owner, method);
    invariant(typeof original === 'function', `there is no method ${method} to watch`);
    const inner = original as Method;
    const before = called === undefined ? undefined : this.#name(called);
    const after = returned === undefined ? undefined : this.#name(returned);
    const note = (index: number) => this.#note(index);
    const watched: Method = function (...args) {
      if (before !== undefined) note(before);
      const result = inner.apply(this, args as unknown[]);
      if (after !== undefined) note(after);
      return result;
    };
    Reflect.set(owner, method, watched);
  }

  #name(name: string): number {
    return this.#names.push(name) - 1;
  }

  #note(index: number): void {
    const at = this.#count++ % MARKS_MAX;
    this.#indexes[at] = index;
    this.#timesNs[at] = process.hrtime.bigint();
  }

  #take(): MarksFile {
    const kept = Math.min(this.#count, MARKS_MAX);
    const places = Array.from({ length: kept }, (_, i) => (this.#count - kept + i) % MARKS_MAX);
    return {
      names: this.#names,
      indexes: places.map((at) => this.#indexes[at] ?? 0),
      timesNs: places.map((at) => Number(this.#timesNs[at] ?? 0n)),
    };
  }
}
