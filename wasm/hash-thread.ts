import { Worker, type WorkerOptions } from 'node:worker_threads';
import { invariant } from '../src/errors.js';
import { HASH_THREAD_HEAP_MIB } from '../src/limits.js';
import {
  type HashJob,
  type HashThreadData,
  type HashThreadMessage,
  SLAB_DIGEST_OFFSET,
} from './hash-job.js';
import { returnSlabs, type Slabs, takeSlabs } from './slabs.js';

/** A checksum as a thread computes it, and how to do without the thread. */
export interface Digester {
  readonly name: string;
  readonly key: Uint8Array | undefined;
  readonly digestBytes: number;
  digest(pieces: readonly Buffer[]): Buffer;
}

/** Makes the thread; it begins when it says 'ready'. */
export type StartWorker = (options: WorkerOptions) => Worker;

interface PendingDigest {
  readonly digester: Digester;
  readonly lengthBytes: number;
  resolve(digest: Buffer): void;
}

/**
 * One thread that hashes, with the shared memory through which payloads get there. A digest
 * that was promised always comes: in place, from the shared copy, where the thread has died.
 */
export class HashThread {
  readonly #worker: Worker;
  readonly #slabs: readonly Buffer[];
  /** Slabs that hold nothing; none before the thread can begin. */
  #free: number[] = [];
  readonly #pending = new Map<number, PendingDigest>();
  #retired = false;
  #failure: Error | undefined;
  readonly #ended: Promise<void>;

  /** `onDeath` is called once, if the thread ends without having been retired. */
  constructor(start: StartWorker, onDeath: (reason: Error) => void) {
    const shared = takeSlabs();
    this.#slabs = shared.map((each) => Buffer.from(each));
    this.#worker = startWith(shared, start);
    this.#worker.on('message', (message: HashThreadMessage) => this.#onMessage(message));
    this.#worker.on('error', (error: Error) => {
      this.#failure = error;
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#finishInPlace();
        returnSlabs(shared);
        if (!this.#retired) onDeath(this.#failure ?? new Error(`it ended with code ${code}`));
        resolve();
      });
    });
    // Only now: Node takes a listener for messages as a reason to stay alive.
    this.#worker.unref();
  }

  /** Payloads that it can take now. */
  get room(): number {
    return this.#retired ? 0 : this.#free.length;
  }

  /**
   * The digest of the pieces, which are copied before this returns. Only where there is room.
   * Never rejects.
   */
  digest(digester: Digester, pieces: readonly Buffer[], lengthBytes: number): Promise<Buffer> {
    const slab = this.#free.pop();
    const bytes = slab === undefined ? undefined : this.#slabs[slab];
    invariant(slab !== undefined && bytes !== undefined, 'a hash thread without room was used');
    invariant(lengthBytes <= SLAB_DIGEST_OFFSET, 'a payload does not fit a slab');
    let at = 0;
    for (const piece of pieces) at += piece.copy(bytes, at);
    const { name, key } = digester;
    const job: HashJob = { slab, lengthBytes, name, key };
    // While a digest is awaited, the process must not end for want of anything else to do.
    if (this.#pending.size === 0) this.#worker.ref();
    this.#worker.postMessage(job);
    return new Promise((resolve) => {
      this.#pending.set(slab, { digester, lengthBytes, resolve });
    });
  }

  /** Takes nothing more on, and ends once what it has is done; resolves then. */
  retire(): Promise<void> {
    this.#retired = true;
    this.#endIfDone();
    return this.#ended;
  }

  #onMessage(message: HashThreadMessage): void {
    if (message === 'ready') {
      this.#free = [...this.#slabs.keys()];
      return;
    }
    const pending = this.#pending.get(message);
    const slab = this.#slabs[message];
    invariant(pending !== undefined && slab !== undefined, 'a digest that nobody awaits');
    this.#pending.delete(message);
    this.#free.push(message);
    if (this.#pending.size === 0) this.#worker.unref();
    const end = SLAB_DIGEST_OFFSET + pending.digester.digestBytes;
    // A copy: the slab is for the next payload.
    pending.resolve(Buffer.from(slab.subarray(SLAB_DIGEST_OFFSET, end)));
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#retired && this.#pending.size === 0) void this.#worker.terminate();
  }

  #finishInPlace(): void {
    this.#free = [];
    for (const [slab, { digester, lengthBytes, resolve }] of this.#pending) {
      const bytes = this.#slabs[slab];
      invariant(bytes !== undefined, `there is no slab ${slab}`);
      resolve(digester.digest([bytes.subarray(0, lengthBytes)]));
    }
    this.#pending.clear();
  }
}

/** Throws as `start` does. */
function startWith(slabs: Slabs, start: StartWorker): Worker {
  const workerData: HashThreadData = { slabs };
  try {
    return start({
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: HASH_THREAD_HEAP_MIB, maxYoungGenerationSizeMb: 1 },
    });
  } catch (error) {
    returnSlabs(slabs);
    throw error;
  }
}

/** The thread that hashes, as it is built. */
export function startHashWorker(options: WorkerOptions): Worker {
  // Without the process's own arguments, of which some are refused to threads.
  return new Worker(new URL('./hash-worker.js', import.meta.url), { ...options, execArgv: [] });
}
