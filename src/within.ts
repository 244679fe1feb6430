import { type Clock, systemClock, type Timer } from './clock.js';

/**
 * Whether a promise resolves within `timeoutMs`; a negative time is none. Rejects as the
 * promise does, if that comes first; a rejection after the time is nobody's.
 */
export async function resolvesWithin(
  promise: Promise<unknown>,
  timeoutMs: number,
  clock: Clock = systemClock,
): Promise<boolean> {
  let timer: Timer | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = clock.after(Math.max(0, timeoutMs), () => resolve(false));
  });
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    timer?.cancel();
  }
}
