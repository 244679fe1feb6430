import type { Clock, Timer } from '../../src/clock.js';
import { invariant } from '../../src/errors.js';

/** Some hundred times what a run needs: past it, somebody waits for nothing, again and again. */
const EVENTS_MAX = 1_000_000;

interface Event extends Timer {
  readonly atMs: number;
  /** Events of the same time happen in the order in which they were asked for. */
  readonly sequence: number;
  task: (() => void) | undefined;
}

/**
 * Time that passes only from one event to the next, so that an hour takes as long as what
 * happens in it. Between two events every promise that can go on has gone on.
 */
export class VirtualClock implements Clock {
  /** A binary heap: no event is earlier than its parent. */
  readonly #events: Event[] = [];
  #nowMs = 0;
  #sequence = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): Timer {
    invariant(delayMs < Number.POSITIVE_INFINITY, 'a timer without an end');
    const event: Event = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      task,
      cancel: () => {
        event.task = undefined;
      },
    };
    this.#insert(event);
    return event;
  }

  endOfTurn(task: () => void): void {
    this.after(0, task);
  }

  /** Resolves once so much time has passed. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Lets time pass until the condition holds; false where it does not within `limitMs`. */
  async runUntil(condition: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs;
    await settled();
    while (!condition()) {
      invariant(this.#sequence < EVENTS_MAX, 'time passes, and something goes round in circles');
      const event = this.#events[0];
      if (event === undefined || event.atMs > endMs) return false;
      this.#removeFirst();
      if (event.task === undefined) continue;
      this.#nowMs = event.atMs;
      event.task();
      await settled();
    }
    return true;
  }

  #insert(event: Event): void {
    const events = this.#events;
    let at = events.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = events[above] as Event;
      if (isBefore(parent, event)) break;
      events[at] = parent;
      at = above;
    }
    events[at] = event;
  }

  #removeFirst(): void {
    const events = this.#events;
    const event = events.pop() as Event;
    if (events.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const right = events[below + 1];
      if (right !== undefined && isBefore(right, events[below] as Event)) below++;
      const child = events[below];
      if (child === undefined || isBefore(event, child)) break;
      events[at] = child;
      at = below;
    }
    events[at] = event;
  }
}

/** The clock of a process that can be killed: from then on nothing of its happens any more. */
export class MortalClock implements Clock {
  readonly #clock: Clock;
  #dead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  kill(): void {
    this.#dead = true;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  after(delayMs: number, task: () => void): Timer {
    return this.#clock.after(delayMs, () => {
      if (!this.#dead) task();
    });
  }

  endOfTurn(task: () => void): void {
    this.after(0, task);
  }
}

/** Resolves when no promise can go on: `nextTick` comes after all microtasks from within one. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.sequence < other.sequence);
}
