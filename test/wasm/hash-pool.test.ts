import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import {
  FRAME_PAYLOAD_BYTES_MAX,
  HASH_OFF_THREAD_BYTES_MIN,
  HASH_THREAD_HASHERS_MAX,
  HASH_THREAD_PAYLOADS_MAX,
  HASH_THREADS_MAX,
} from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { ALGORITHMS } from '../../wasm/algorithms.js';
import { createChecksum, loadChecksum } from '../../wasm/checksums.js';
import { HashPool, type HashPoolOptions } from '../../wasm/hash-pool.js';
import { startHashWorker } from '../../wasm/hash-thread.js';
import { soon, until } from '../support/wait.js';

const LARGE_BYTES = HASH_OFF_THREAD_BYTES_MIN;
const KEY = Buffer.alloc(32, 7);

/** A pool that ends with the test, with the warnings that it logs. */
async function newPool(t: TestContext, threads: number, options?: HashPoolOptions) {
  const warnings: string[] = [];
  const pool = new HashPool(options);
  pool.log = { ...silentLog, warn: (...words: unknown[]) => warnings.push(JSON.stringify(words)) };
  t.after(() => pool.close());
  await startThreads(pool, threads);
  return { pool, warnings };
}

/** Two threads for all tests that change nothing about them: each takes a while to start. */
const shared = new HashPool();
before(() => startThreads(shared, 2));
after(() => shared.close());

async function startThreads(pool: HashPool, threads: number): Promise<void> {
  pool.resize(threads);
  const room = threads * HASH_THREAD_PAYLOADS_MAX;
  await until(() => pool.room === room, 'the threads have started');
}

test('threads compute what is computed in place, keyed and not', async () => {
  const pieces = [randomBytes(LARGE_BYTES), randomBytes(1), randomBytes(5000)];
  for (const algorithm of ALGORITHMS) {
    const { name, keyable } = algorithm;
    const native = 'createNative' in algorithm && (await algorithm.createNative()) !== undefined;
    const slow = algorithm.slow && !native;
    for (const key of keyable ? [undefined, KEY] : [undefined]) {
      const checksum = await createChecksum(name, key, shared);
      const digest = checksum.digestOffThread(pieces);
      assert.equal(digest !== undefined, slow, `${name}: what is quick is not worth a thread`);
      if (digest === undefined) continue;
      const expected = checksum.digest(pieces);
      assert.deepEqual(await soon(digest, name), expected);
      assert.equal(await checksum.matchesOffThread(pieces, expected), true);
      assert.equal(await checksum.matchesOffThread(pieces, Buffer.alloc(32)), false);
      assert.equal(await checksum.matchesOffThread(pieces, expected.subarray(1)), false);
    }
  }
});

test('what is small, or too large for a slab, is for the caller', async () => {
  const checksum = await createChecksum('blake2b', undefined, shared);
  const of = (lengthBytes: number) => checksum.digestOffThread([Buffer.alloc(lengthBytes)]);
  assert.equal(of(LARGE_BYTES - 1), undefined);
  // Awaited, since the next test counts what the threads hold.
  assert.notEqual(await of(LARGE_BYTES), undefined);
  assert.notEqual(await of(FRAME_PAYLOAD_BYTES_MAX), undefined);
  assert.equal(of(FRAME_PAYLOAD_BYTES_MAX + 1), undefined);
});

test('with no threads, or threads that have not started, nothing is promised', async (t) => {
  const { pool } = await newPool(t, 0);
  const checksum = await createChecksum('blake2b', undefined, pool);
  assert.equal(checksum.digestOffThread([Buffer.alloc(LARGE_BYTES)]), undefined);
  pool.resize(1);
  assert.equal(checksum.digestOffThread([Buffer.alloc(LARGE_BYTES)]), undefined);
});

test('nobody waits for room: past what the threads hold, nothing is promised', async () => {
  const checksum = await createChecksum('blake2b', undefined, shared);
  const digests = [];
  for (;;) {
    const digest = checksum.digestOffThread([Buffer.alloc(LARGE_BYTES)]);
    if (digest === undefined) break;
    digests.push(digest);
  }
  assert.equal(digests.length, 2 * HASH_THREAD_PAYLOADS_MAX);
  await Promise.all(digests);
  assert.notEqual(await checksum.digestOffThread([Buffer.alloc(LARGE_BYTES)]), undefined);
});

test('a payload may change once it was handed over', async () => {
  const checksum = await createChecksum('blake2b', undefined, shared);
  const bytes = randomBytes(LARGE_BYTES);
  const expected = checksum.digest([bytes]);
  const digest = checksum.digestOffThread([bytes]);
  bytes.fill(0);
  assert.deepEqual(await digest, expected);
});

test('more keys than a thread keeps hashers for', async () => {
  const pieces = [randomBytes(LARGE_BYTES)];
  const keys = Array.from({ length: HASH_THREAD_HASHERS_MAX + 2 }, (_, seed) =>
    Buffer.alloc(32, seed),
  );
  for (const key of [...keys, ...keys]) {
    const checksum = await createChecksum('blake2b', key, shared);
    assert.deepEqual(await checksum.digestOffThread(pieces), checksum.digest(pieces));
  }
});

test('resizing under load loses no digest, and makes none wrong', async (t) => {
  const { pool } = await newPool(t, 1);
  const checksum = await createChecksum('blake2b', undefined, pool);
  let offThread = 0;
  for (const threads of [2, 0, 1, 3, 1, 0, 2]) {
    const payloads = Array.from({ length: 12 }, () => [randomBytes(LARGE_BYTES)]);
    const digests = payloads.map((pieces) => checksum.digestOffThread(pieces));
    pool.resize(threads);
    assert.equal(pool.threads, threads);
    for (const [index, digest] of digests.entries()) {
      if (digest === undefined) continue;
      offThread++;
      assert.deepEqual(await soon(digest, 'a digest'), checksum.digest(payloads[index] ?? []));
    }
    await until(() => threads === 0 || pool.room > 0, 'a thread has started');
  }
  assert.ok(offThread > 0);
});

test('the number of threads is bounded', async (t) => {
  const { pool } = await newPool(t, 0, { start: startDeadlyWorker });
  assert.equal(pool.resize(-1), 0);
  assert.equal(pool.resize(HASH_THREADS_MAX + 1), HASH_THREADS_MAX);
  assert.equal(pool.threads, HASH_THREADS_MAX);
});

test('closing waits for what was handed over, and has the thread do it', async (t) => {
  const { pool } = await newPool(t, 1);
  const checksum = await loadChecksum('blake2b');
  const pieces = [randomBytes(LARGE_BYTES)];
  const { name, digestBytes } = checksum;
  const digest = () => assert.fail('hashed in place');
  const handedOver = pool.digest({ name, key: undefined, digestBytes, digest }, pieces);
  await soon(pool.close(), 'the threads to end');
  assert.deepEqual(await handedOver, checksum.digest(pieces));
});

/** A thread that dies of its first payload. */
function startDeadlyWorker(options: WorkerOptions): Worker {
  return new Worker(
    `const { parentPort } = require('node:worker_threads');
     parentPort.on('message', () => process.exit(3));
     parentPort.postMessage('ready');`,
    { ...options, eval: true },
  );
}

test('what a thread had when it died is hashed in place, and it is replaced once', async (t) => {
  const { pool, warnings } = await newPool(t, 1, { start: startDeadlyWorker });
  const checksum = await createChecksum('blake2b', KEY, pool);
  const payloads = Array.from({ length: 3 }, () => [randomBytes(LARGE_BYTES)]);
  for (const [deaths, threads] of [1, 0].entries()) {
    await until(() => pool.room > 0, 'a thread has started');
    const digests = payloads.map((pieces) => checksum.digestOffThread(pieces));
    for (const [index, digest] of digests.entries()) {
      assert.deepEqual(
        await soon(digest ?? assert.fail(), 'a digest'),
        checksum.digest(payloads[index] ?? []),
      );
    }
    await until(() => warnings.length === deaths + 1, 'the death was logged');
    assert.equal(pool.threads, threads);
  }
  assert.match(warnings[0] ?? '', /"replaced":true.*ended with code 3.*has died/);
  assert.match(warnings[1] ?? '', /"replaced":false/);
});

test('threads that come and go share memory one after the other, and never at once', async (t) => {
  const slabs: unknown[][] = [];
  const start = (options: WorkerOptions) => {
    slabs.push(options.workerData.slabs);
    return startHashWorker(options);
  };
  const { pool } = await newPool(t, 2, { start });
  await pool.close();
  await startThreads(pool, 2);
  const [first = [], second = [], ...later] = slabs;
  assert.equal(first.length, HASH_THREAD_PAYLOADS_MAX);
  assert.equal(new Set([...first, ...second]).size, 2 * HASH_THREAD_PAYLOADS_MAX);
  const again = new Set(later.flat());
  assert.equal(again.size, 2 * HASH_THREAD_PAYLOADS_MAX);
  for (const slab of [...first, ...second]) assert.ok(again.has(slab));
});

test('a thread that cannot be started keeps no memory', async (t) => {
  const slabs: unknown[] = [];
  const start = (options: WorkerOptions): Worker => {
    slabs.push(options.workerData.slabs);
    throw new Error('no threads here');
  };
  const { pool } = await newPool(t, 0, { start });
  pool.resize(1);
  pool.resize(1);
  assert.equal(slabs.length, 2);
  assert.equal(slabs[1], slabs[0]);
});

test('threads that cannot be started are done without', async (t) => {
  let allowed = 1;
  const start = (options: WorkerOptions) => {
    if (allowed-- > 0) return startHashWorker(options);
    throw new Error('no more threads here');
  };
  const { pool, warnings } = await newPool(t, 1, { start });
  assert.equal(pool.resize(3), 1);
  assert.match(warnings[0] ?? '', /no more threads here/);
});

test('the process pool helps whoever loads a checksum', async () => {
  const { processPool } = await import('../../wasm/hash-pool.js');
  const checksum = await loadChecksum('blake2b');
  processPool.resize(1);
  await until(() => processPool.room > 0, 'the thread has started');
  const pieces = [randomBytes(LARGE_BYTES)];
  assert.deepEqual(await checksum.digestOffThread(pieces), checksum.digest(pieces));
  await processPool.close();
});

const HASH_ONE = `
  const pieces = [Buffer.alloc(${LARGE_BYTES})];
  const digest = await checksum.digestOffThread(pieces);
  console.log(digest.equals(checksum.digest(pieces)));`;

for (const [what, script, printed] of [
  ['idle threads keep no process alive', '', ''],
  ['a digest that is awaited keeps it alive, and no longer', HASH_ONE, 'true\n'],
] as const) {
  test(what, async () => {
    const begin = `
      import { processPool } from '${new URL('../../wasm/hash-pool.js', import.meta.url)}';
      import { loadChecksum } from '${new URL('../../wasm/checksums.js', import.meta.url)}';
      const checksum = await loadChecksum('blake2b');
      processPool.resize(1);
      while (processPool.room === 0) await new Promise((resolve) => setTimeout(resolve, 1));`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', begin + script],
      { timeout: 10_000 },
    );
    assert.equal(stdout, printed);
  });
}
