/** Something that will happen; `cancel` may be called at any time, also after it has. */
export interface Timer {
  cancel(): void;
}

/**
 * Where time comes from, for everything that waits for a peer: tests and the simulation put
 * a clock of their own here.
 */
export interface Clock {
  /** Milliseconds since some moment; never goes back. */
  nowMs(): number;
  /** Runs a task once, `delayMs` from now or a little later. */
  after(delayMs: number, task: () => void): Timer;
  /**
   * Runs a task once all has been heard that has come by now. What came at the same time can
   * thus be answered together, and nothing waits for what is yet to come.
   */
  endOfTurn(task: () => void): void;
}

/** After the callbacks of this turn's sockets and engines; nextTick would run between them. */
function endOfTurn(task: () => void): void {
  setImmediate(task);
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, Math.max(0, delayMs));
    return { cancel: () => clearTimeout(timer) };
  },
  endOfTurn,
};

/** As the system's, but a process may end while a timer of this one is set. */
export const backgroundClock: Clock = {
  nowMs: systemClock.nowMs,
  after(delayMs, task) {
    const timer = setTimeout(task, Math.max(0, delayMs)).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  endOfTurn,
};
