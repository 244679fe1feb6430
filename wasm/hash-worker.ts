/** The thread that hashes: digests what is in its slabs, one payload after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import type { IHasher } from 'hash-wasm';
import { invariant } from '../src/errors.js';
import { HASH_THREAD_HASHERS_MAX } from '../src/limits.js';
import { findAlgorithm } from './algorithms.js';
import {
  type HashJob,
  type HashThreadData,
  type HashThreadMessage,
  SLAB_DIGEST_OFFSET,
} from './hash-job.js';

const slabs = (workerData as HashThreadData).slabs.map((shared) => new Uint8Array(shared));

/** By name and key, the one used last at the end. */
const hashers = new Map<string, Promise<IHasher>>();

parentPort?.on('message', hash);
say('ready');

async function hash({ slab, lengthBytes, name, key }: HashJob): Promise<void> {
  const bytes = slabs[slab];
  invariant(bytes !== undefined, `there is no slab ${slab}`);
  // The thread ends where this rejects, and its jobs are done in place.
  const hasher = await hasherOf(name, key);
  const digest = hasher.init().update(bytes.subarray(0, lengthBytes)).digest('binary');
  bytes.set(digest, SLAB_DIGEST_OFFSET);
  say(slab);
}

function hasherOf(name: string, key: Uint8Array | undefined): Promise<IHasher> {
  const id = `${name} ${key === undefined ? '' : Buffer.from(key).toString('latin1')}`;
  const hasher = hashers.get(id) ?? createHasher(name, key);
  hashers.delete(id);
  hashers.set(id, hasher);
  const [oldest] = hashers.keys();
  if (hashers.size > HASH_THREAD_HASHERS_MAX && oldest !== undefined) hashers.delete(oldest);
  return hasher;
}

async function createHasher(name: string, key: Uint8Array | undefined): Promise<IHasher> {
  const { createHasher: create } = findAlgorithm(name);
  invariant(create !== undefined, `${name} computes nothing`);
  return create(key);
}

function say(message: HashThreadMessage): void {
  parentPort?.postMessage(message);
}
