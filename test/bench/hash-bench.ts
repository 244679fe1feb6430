/**
 * What hashing costs, in place and on other threads: how much goes through, and for how long
 * the event loop is held by each payload. docs/PERFORMANCE.md says what follows from it.
 */
import { availableParallelism, cpus } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HASH_THREAD_PAYLOADS_MAX } from '../../src/limits.js';
import { ALGORITHMS } from '../../wasm/algorithms.js';
import { type Checksum, loadChecksum } from '../../wasm/checksums.js';
import { HashPool } from '../../wasm/hash-pool.js';
import type { Digester } from '../../wasm/hash-thread.js';
import { until } from '../support/wait.js';

const KIB = 1024;
const SIZES = [4 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, 1024 * KIB];
const THREADS = [1, 2];
const RUN_MS = 80;

/** Of so many runs the best counts: whatever else goes on makes them slower, and none quicker. */
const ROUNDS = 3;

/** Payloads under way at once: as many as one thread takes, so that all go to threads. */
const WINDOW = HASH_THREAD_PAYLOADS_MAX;

interface Figures {
  readonly bytesPerMs: number;
  /** How long each payload held the event loop. */
  readonly heldUs: number;
}

/** Hashes payloads of this size, so many at a time, for RUN_MS. */
async function measure(lengthBytes: number, digest: Digest): Promise<Figures> {
  const payloads = Array.from({ length: WINDOW }, (_, seed) => [Buffer.alloc(lengthBytes, seed)]);
  const startMs = performance.now();
  const before = performance.eventLoopUtilization();
  let count = 0;
  const lane = async (pieces: Buffer[]) => {
    while (performance.now() - startMs < RUN_MS) {
      // As in a process: what is hashed in place lets the event loop turn in between.
      await (digest(pieces) ?? nextTurn());
      count++;
    }
  };
  await Promise.all(payloads.map(lane));
  const tookMs = performance.now() - startMs;
  const { active } = performance.eventLoopUtilization(before);
  return { bytesPerMs: (count * lengthBytes) / tookMs, heldUs: (active * 1000) / count };
}

async function best(lengthBytes: number, digest: Digest): Promise<Figures> {
  let bytesPerMs = 0;
  let heldUs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const figures = await measure(lengthBytes, digest);
    bytesPerMs = Math.max(bytesPerMs, figures.bytesPerMs);
    heldUs = Math.min(heldUs, figures.heldUs);
  }
  return { bytesPerMs, heldUs };
}

/** Undefined where it was computed in place. */
type Digest = (pieces: Buffer[]) => Promise<Buffer> | undefined;

function inPlace(checksum: Checksum): Digest {
  return (pieces) => {
    checksum.digest(pieces);
    return undefined;
  };
}

function withPool(checksum: Checksum, pool: HashPool): Digest {
  const { name, digestBytes } = checksum;
  const digest = (pieces: readonly Buffer[]) => checksum.digest(pieces);
  const digester: Digester = { name, key: undefined, digestBytes, digest };
  return (pieces) => pool.digest(digester, pieces) ?? inPlace(checksum)(pieces);
}

async function startPool(threads: number): Promise<HashPool> {
  const pool = new HashPool({ bytesMin: 0 });
  pool.resize(threads);
  await until(() => pool.room === threads * HASH_THREAD_PAYLOADS_MAX, 'the threads have started');
  return pool;
}

function format({ bytesPerMs, heldUs }: Figures): string {
  return `${(bytesPerMs / 1e6).toFixed(2).padStart(7)} GB/s ${heldUs.toFixed(0).padStart(6)} us`;
}

const pools = await Promise.all(THREADS.map(startPool));
const { model } = cpus()[0] ?? { model: 'unknown' };
console.log(`${model}, ${availableParallelism()} processors, Node ${process.version}`);
console.log(`throughput, and how long each payload holds the event loop; best of ${ROUNDS} runs`);
const columns = ['in place', ...THREADS.map((threads) => `threads: ${threads}`)];
console.log(`${''.padEnd(18)}${columns.map((column) => column.padEnd(24)).join('')}`);
for (const { name } of ALGORITHMS) {
  if (name === 'none') continue;
  const checksum = await loadChecksum(name);
  for (const lengthBytes of SIZES) {
    const digests = [inPlace(checksum), ...pools.map((pool) => withPool(checksum, pool))];
    const cells: string[] = [];
    for (const digest of digests) cells.push(format(await best(lengthBytes, digest)).padEnd(24));
    console.log(`${name.padEnd(8)} ${`${lengthBytes / KIB} KiB`.padEnd(9)}${cells.join('')}`);
  }
}
await Promise.all(pools.map((pool) => pool.close()));
