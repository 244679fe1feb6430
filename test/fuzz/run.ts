/**
 * `make fuzz`: fresh seeds for SECONDS (60 unless given), in turn for each target; or SEED alone.
 * TARGET names one target.
 */
import { runSeed, TARGETS } from './targets.js';

const SECONDS_DEFAULT = 60;
const SEED_MAX = 2 ** 32;

/** What a run may keep when it is over, past what it had after its first tenth. */
const GROWTH_BYTES_MAX = 48 * 1024 * 1024;

await main();

async function main(): Promise<void> {
  const names = process.env.TARGET ? [process.env.TARGET] : Object.keys(TARGETS);
  const seed = numberOf('SEED');
  if (seed !== undefined) {
    for (const name of names) await runSeed(name, seed);
    console.log(`seed ${seed} holds: ${names.join(', ')}`);
    return;
  }
  await runFor((numberOf('SECONDS') ?? SECONDS_DEFAULT) * 1000, names);
}

async function runFor(durationMs: number, names: readonly string[]): Promise<void> {
  const startMs = performance.now();
  // Any start will do: what fails says its seed.
  let seed = Date.now() % SEED_MAX;
  let seeds = 0;
  let warmBytes: number | undefined;
  for (let tookMs = 0; tookMs < durationMs; tookMs = performance.now() - startMs) {
    if (warmBytes === undefined && tookMs > durationMs / 10) warmBytes = heldBytes();
    for (const name of names) await runSeed(name, seed);
    seed = (seed + 1) % SEED_MAX;
    seeds++;
  }
  const growthBytes = heldBytes() - (warmBytes ?? 0);
  const growth = `${(growthBytes / 2 ** 20).toFixed(1)} MiB more in use`;
  console.log(`${seeds} seeds of ${names.join(', ')}: nothing found, ${growth}`);
  if (growthBytes <= GROWTH_BYTES_MAX) return;
  console.error('memory grows from seed to seed');
  process.exitCode = 1;
}

function heldBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function numberOf(name: string): number | undefined {
  const text = process.env[name] ?? '';
  if (text === '') return undefined;
  const value = Number(text);
  if (!(value >= 0)) throw new Error(`${name} is no number: ${text}`);
  return value;
}
