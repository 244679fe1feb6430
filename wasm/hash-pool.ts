/**
 * Threads that hash large payloads, so that the event loop goes on meanwhile. What is small,
 * and what comes while all threads have enough to do, is hashed in place: nobody ever waits for
 * a thread to have room.
 */
import {
  FRAME_PAYLOAD_BYTES_MAX,
  HASH_OFF_THREAD_BYTES_MIN,
  HASH_THREADS_MAX,
} from '../src/limits.js';
import { type Log, silentLog } from '../src/log.js';
import { lengthOf } from '../src/pieces.js';
import { type Digester, HashThread, type StartWorker, startHashWorker } from './hash-thread.js';

export interface HashPoolOptions {
  readonly start?: StartWorker;
  /** The smallest payload that is worth a thread. */
  readonly bytesMin?: number;
}

export class HashPool {
  /** Where it is told that a thread has died. */
  log: Log = silentLog;
  readonly #start: StartWorker;
  readonly #bytesMin: number;
  #threads: HashThread[] = [];
  readonly #retiring = new Set<Promise<void>>();

  constructor(options: HashPoolOptions = {}) {
    this.#start = options.start ?? startHashWorker;
    this.#bytesMin = options.bytesMin ?? HASH_OFF_THREAD_BYTES_MIN;
  }

  get threads(): number {
    return this.#threads.length;
  }

  /** Payloads that could be handed over now. A thread that is only starting takes none yet. */
  get room(): number {
    return this.#threads.reduce((sum, thread) => sum + thread.room, 0);
  }

  /**
   * Starts or ends threads until there are so many, from 0 to HASH_THREADS_MAX; returns how
   * many there are. A thread that ends does first what it was given.
   */
  resize(threads: number): number {
    const wanted = Math.min(HASH_THREADS_MAX, Math.max(0, threads));
    while (this.#threads.length < wanted && this.#add(true));
    for (const thread of this.#threads.splice(wanted)) {
      const ended = thread.retire();
      this.#retiring.add(ended);
      void ended.then(() => this.#retiring.delete(ended));
    }
    return this.threads;
  }

  /**
   * The digest of the pieces, computed on another thread from a copy that is made before this
   * returns; never rejects. Undefined where it is better computed in place.
   */
  digest(digester: Digester, pieces: readonly Buffer[]): Promise<Buffer> | undefined {
    if (this.#threads.length === 0) return undefined;
    const lengthBytes = lengthOf(pieces);
    if (lengthBytes < this.#bytesMin) return undefined;
    if (lengthBytes > FRAME_PAYLOAD_BYTES_MAX) return undefined;
    return this.#roomiest()?.digest(digester, pieces, lengthBytes);
  }

  /** Ends all threads, once they have done what they were given. */
  async close(): Promise<void> {
    this.resize(0);
    await Promise.all(this.#retiring);
  }

  #roomiest(): HashThread | undefined {
    let found: HashThread | undefined;
    for (const thread of this.#threads) {
      if (thread.room > (found?.room ?? 0)) found = thread;
    }
    return found;
  }

  /** Starts one; false where that fails. */
  #add(mayBeReplaced: boolean): boolean {
    try {
      const thread: HashThread = new HashThread(this.#start, (reason) => {
        this.#threads = this.#threads.filter((each) => each !== thread);
        const replaced = mayBeReplaced && this.#add(false);
        this.log.warn(
          { threads: this.threads, replaced, reason: reason.message },
          'a thread that hashes has died; what it had was hashed in place',
        );
      });
      this.#threads.push(thread);
      return true;
    } catch (error) {
      this.log.warn({ reason: String(error) }, 'no more threads for checksums could be started');
      return false;
    }
  }
}

/** The threads of this process; none until somebody asks for some. */
export const processPool = new HashPool();
