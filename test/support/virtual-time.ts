import { VirtualClock } from '../simulation/virtual-clock.js';

export { VirtualClock };

/** Lets exactly so much time pass, and everything happen that is due by then. */
export async function pass(clock: VirtualClock, durationMs: number): Promise<void> {
  let over = false;
  clock.after(durationMs, () => {
    over = true;
  });
  await clock.runUntil(() => over, durationMs);
}

/** Lets time pass until the condition holds; rejects when it does not within the limit. */
export async function comes(
  clock: VirtualClock,
  condition: () => boolean,
  what: string,
  limitMs = 60_000,
): Promise<void> {
  if (!(await clock.runUntil(condition, limitMs))) {
    throw new Error(`${what} did not come within ${limitMs} ms of virtual time`);
  }
}

/** The outcome of a promise, for which time passes; rejects when it takes longer than the limit. */
export async function ends<T>(
  clock: VirtualClock,
  promise: Promise<T>,
  what: string,
  limitMs = 60_000,
): Promise<T> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  await comes(clock, () => settled, what, limitMs);
  return promise;
}
