import { fuzzClient } from './client-target.js';
import { fuzzExport } from './export-target.js';
import { fuzzNbd } from './nbd-target.js';

/** What is fuzzed, by name: each runs one seed, and throws where that finds something. */
export const TARGETS: Readonly<Record<string, (seed: number) => Promise<void>>> = {
  export: fuzzExport,
  client: fuzzClient,
  nbd: fuzzNbd,
};

/**
 * Runs one seed of a target. What it throws says the seed, and how to run it once more; so does
 * a promise whose rejection nobody awaited.
 */
export async function runSeed(name: string, seed: number): Promise<void> {
  const target = TARGETS[name];
  if (target === undefined) throw new Error(`TARGET is one of ${Object.keys(TARGETS).join(', ')}`);
  let unhandled: unknown;
  const note = (error: unknown) => {
    unhandled ??= error;
  };
  process.on('unhandledRejection', note);
  try {
    await target(seed);
    // Rejections that nobody handles are told after a turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    if (unhandled !== undefined) throw unhandled;
  } catch (cause) {
    throw new Error(`once more: make fuzz TARGET=${name} SEED=${seed}`, { cause });
  } finally {
    process.off('unhandledRejection', note);
  }
}
