import { createHash } from 'node:crypto';
import type { Clock } from '../../src/clock.js';
import type { Log } from '../../src/log.js';

/** What the export says since when somebody writes: the one thing here that is not simulated. */
const REAL_TIME = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;

type Detail = string | number;

interface Entry {
  readonly atMs: number;
  readonly what: string;
  readonly details: readonly Detail[];
}

/** What happened in a run: for a person where it failed, and for comparing two runs. */
export class History {
  readonly #clock: Clock;
  readonly #entries: Entry[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(what: string, ...details: readonly Detail[]): void {
    this.#entries.push({ atMs: this.#clock.nowMs(), what, details });
  }

  /** A log whose lines become entries. */
  log(who: string): Log {
    // Words only: fields may hold ids and times that differ from one run to the next.
    const note = (first: unknown, second?: unknown) => {
      this.add(who, String(second ?? first).replace(REAL_TIME, 'TIME'));
    };
    const nothing = () => {};
    return { debug: nothing, info: note, warn: note, error: note };
  }

  /** The last entries, one a line. */
  tail(count: number): string {
    return this.#entries
      .slice(-count)
      .map(
        ({ atMs, what, details }) => `${atMs.toFixed(2).padStart(12)} ${what} ${details.join(' ')}`,
      )
      .join('\n');
  }

  /** The same for two runs in which the same happened at the same times. */
  digest(): string {
    const hash = createHash('sha256');
    for (const { atMs, what, details } of this.#entries) {
      hash.update(`${atMs} ${what} ${details.join(' ')}\n`);
    }
    return hash.digest('hex');
  }
}
