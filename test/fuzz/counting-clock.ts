import type { Clock, Timer } from '../../src/clock.js';

/** A clock that knows how many timers somebody still waits for. */
export class CountingClock implements Clock {
  readonly #clock: Clock;
  #live = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get live(): number {
    return this.#live;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  endOfTurn(task: () => void): void {
    this.#clock.endOfTurn(task);
  }

  after(delayMs: number, task: () => void): Timer {
    let over = false;
    const end = () => {
      if (!over) this.#live--;
      over = true;
    };
    this.#live++;
    const timer = this.#clock.after(delayMs, () => {
      end();
      task();
    });
    return {
      cancel() {
        end();
        timer.cancel();
      },
    };
  }
}
