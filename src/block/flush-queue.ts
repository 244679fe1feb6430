import { DstError } from '../errors.js';

/**
 * Merges flushes: one runs, and one waits that all who come meanwhile share.
 *
 * A caller never joins the one that runs, since that one may have started before the
 * caller's writes ended, and a flush must cover every write that ended before its call.
 *
 * After a failure all later flushes fail too. Linux reports a failed write-back once, then
 * drops the dirty pages or calls them clean: the next fdatasync would succeed, and say that
 * lost data is durable. Only opening the device anew starts afresh.
 */
export class FlushQueue {
  readonly #sync: () => Promise<void>;
  readonly #description: string;
  #running: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;
  #failure: unknown;

  /** `sync` makes durable what was written before it was called. */
  constructor(description: string, sync: () => Promise<void>) {
    this.#description = description;
    this.#sync = sync;
  }

  flush(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#waiting ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#waiting;
  }

  #start(): Promise<void> {
    this.#waiting = undefined;
    const running = this.#run();
    this.#running = running;
    const ended = (): void => {
      // One that waits has not started yet: until it does, this one must stay named, or a
      // newcomer would start a second beside it.
      if (this.#waiting === undefined) this.#running = undefined;
    };
    running.then(ended, ended);
    return running;
  }

  async #run(): Promise<void> {
    if (this.#failure !== undefined) throw earlierFailure(this.#description, this.#failure);
    try {
      await this.#sync();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

function earlierFailure(description: string, failure: unknown): DstError {
  return new DstError(
    'DST_E_FLUSH_LOST',
    `flush of ${description} fails since an earlier one did, and data may be lost: check the disk, then restart the export`,
    { errno: 'EIO', cause: failure },
  );
}
