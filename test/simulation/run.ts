/**
 * `make simulate`: fresh seeds for SECONDS (30 unless given), or COUNT seeds (1 unless given)
 * from SEED on. SABOTAGE='fence' or another of SABOTAGES takes that away first.
 */
import { loadChecksum } from '../../wasm/checksums.js';
import { CHECKSUM } from './export-process.js';
import { type Outcome, SABOTAGES, type Sabotage, simulate } from './world.js';

const SECONDS_DEFAULT = 30;
const SEED_MAX = 2 ** 32;
const TAIL_ENTRIES = 80;

/** Which seeds to run, and until when. */
interface Span {
  readonly first: number;
  readonly count: number;
  readonly seconds: number;
}

await main();

async function main(): Promise<void> {
  // Compiled beforehand: in a run, nothing may wait for what is not simulated.
  await loadChecksum(CHECKSUM);
  const sabotage = sabotageOf(process.env.SABOTAGE);
  const failed = await runAll(spanOf(), sabotage);
  if (failed === undefined) return;
  report(failed, sabotage);
  process.exitCode = 1;
}

/** The first outcome that is a failure. */
async function runAll(span: Span, sabotage: Sabotage | undefined): Promise<Outcome | undefined> {
  const startMs = performance.now();
  const seconds = () => (performance.now() - startMs) / 1000;
  let seeds = 0;
  let commands = 0;
  let virtualMs = 0;
  let restarts = 0;
  let told = 0;
  while (seeds < span.count && seconds() < span.seconds) {
    const outcome = await simulate((span.first + seeds) % SEED_MAX, sabotage);
    if (outcome.failure !== undefined) return outcome;
    seeds++;
    commands += outcome.commands;
    virtualMs += outcome.virtualMs;
    restarts += outcome.restarts;
    if (outcome.told) told++;
  }
  const hours = (virtualMs / 3_600_000).toFixed(1);
  const rate = (seeds / seconds()).toFixed(0);
  console.log(`${seeds} seeds, ${rate} seeds/s: ${commands} commands in ${hours} simulated hours`);
  console.log(`${restarts} clients killed and resumed; ${told} runs ended by DST_E_REPLAY_LOST`);
  return undefined;
}

function report({ seed, failure, history }: Outcome, sabotage: Sabotage | undefined): void {
  console.error(history.tail(TAIL_ENTRIES));
  console.error(failure?.stack);
  const switches = sabotage === undefined ? '' : ` SABOTAGE='${sabotage}'`;
  console.error(`seed ${seed} failed; once more: make simulate SEED=${seed}${switches}`);
}

function spanOf(): Span {
  const seed = numberOf('SEED');
  if (seed !== undefined) {
    return { first: seed, count: numberOf('COUNT') ?? 1, seconds: Number.POSITIVE_INFINITY };
  }
  // Any start will do: what fails says its seed.
  const first = Date.now() % SEED_MAX;
  const seconds = numberOf('SECONDS') ?? SECONDS_DEFAULT;
  return { first, count: Number.POSITIVE_INFINITY, seconds };
}

function numberOf(name: string): number | undefined {
  const text = process.env[name] ?? '';
  if (text === '') return undefined;
  const value = Number(text);
  if (!(value >= 0)) throw new Error(`${name} is no number: ${text}`);
  return value;
}

function sabotageOf(name = ''): Sabotage | undefined {
  if (name === '') return undefined;
  const known = SABOTAGES.find((each) => each === name);
  if (known === undefined) throw new Error(`SABOTAGE is one of ${SABOTAGES.join(', ')}`);
  return known;
}
