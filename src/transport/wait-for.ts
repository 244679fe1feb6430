import { DstError } from '../errors.js';

export interface WaitLimits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** What to reject with past the time. */
  late(): Error;
}

/**
 * The promise's own outcome, or as soon as one of them comes first a rejection: `late()` past
 * the time, DST_E_ABORTED on the signal. Leaves no timer and no listener behind.
 */
export function waitFor<T>(promise: Promise<T>, limits: WaitLimits): Promise<T> {
  const { timeoutMs, signal, late } = limits;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => settle(() => reject(aborted()));
    const timer = setTimeout(() => settle(() => reject(late())), Math.max(0, timeoutMs));
    const settle = (act: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      act();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    promise.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
    if (signal?.aborted) onAbort();
  });
}

/** Throws DST_E_ABORTED once the signal was given, so that nothing new is begun. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted();
}

function aborted(): DstError {
  return new DstError('DST_E_ABORTED', 'the attempt to connect was called off: dial again');
}
