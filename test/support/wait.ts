// Taken here, so that a test's mocked timers leave the deadlines of its waits alone.
const { setTimeout, clearTimeout } = globalThis;

/** What takes this long hangs, also on a machine that is busy with other tests. */
const PATIENCE_MS = 30_000;
const POLL_MS = 1;

/** The promise's own outcome, or a rejection when it takes far too long. */
export async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`waited ${PATIENCE_MS} ms for ${what}`)),
      PATIENCE_MS,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves once the condition holds; rejects when that takes far too long. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
