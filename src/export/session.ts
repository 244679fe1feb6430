import type { Checksum } from '../../wasm/checksums.js';
import { DstError, invariant } from '../errors.js';
import { TRANSACTION_WINDOW } from '../limits.js';
import type { RequestFrame } from '../protocol/frame.js';
import { ERRNO_DAMAGED, errnoValue } from '../protocol/messages.js';
import { type Answer, changes, execute, failed } from './executor.js';
import type { Store } from './store.js';
import { TransactionTable } from './transaction-table.js';

/**
 * What keeps stale writes away. All of it always holds; the simulation turns one off to see
 * that it finds what then goes wrong.
 */
export interface SessionRules {
  /** A new epoch waits for the commands of the old, and refuses later ones. */
  readonly fence: boolean;
  /** A transaction that changes the device is carried out once. */
  readonly table: boolean;
}

/**
 * What a client holds with one store, across its connections. Only the connection of the
 * highest epoch may carry out commands: `advance` fences every older one.
 */
export class ExportSession {
  readonly store: Store;
  readonly readOnly: boolean;
  readonly #table = new TransactionTable<Answer>(TRANSACTION_WINDOW);
  readonly #inProgress = new Set<Promise<Answer>>();
  #epoch = -1;

  constructor(store: Store, readOnly: boolean) {
    this.store = store;
    this.readOnly = readOnly;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get inProgress(): number {
    return this.#inProgress.size;
  }

  /**
   * Fences the older connections: from the call on their commands are refused, and when it
   * resolves those in progress have ended. Only then may the new connection be welcomed.
   * Throws DST_E_EPOCH, at once and with nothing changed, when the epoch is not higher than
   * the last.
   */
  advance(epoch: number): Promise<void> {
    if (epoch <= this.#epoch) {
      throw new DstError(
        'DST_E_EPOCH',
        `epoch ${epoch} is not above ${this.#epoch}: a newer connection of this session is here`,
      );
    }
    this.#epoch = epoch;
    return this.settled();
  }

  /** Resolves when no command is in progress. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#inProgress);
  }

  /**
   * Carries a request out, once. Rejects, with nothing done, when the connection that it
   * came on is fenced (DST_E_FENCED), or as `TransactionTable.run` says.
   */
  async run(epoch: number, request: RequestFrame, checksum: Checksum): Promise<Answer> {
    invariant(epoch <= this.#epoch, 'a command of an epoch that was never welcomed');
    if (epoch !== this.#epoch) {
      throw new DstError('DST_E_FENCED', 'a newer connection of this session has taken over');
    }
    this.#table.retire(request.retired);
    if (!changes(request)) return this.#track(execute(this.store.device, request, checksum));
    if (this.readOnly) {
      return failed(
        new DstError('DST_E_READ_ONLY', `export "${this.store.name}" is read-only here`),
        errnoValue('EPERM'),
      );
    }
    const answer = await this.#table.run(request.transaction, () =>
      this.#track(execute(this.store.device, request, checksum)),
    );
    if (answer.errno === ERRNO_DAMAGED) this.#table.forget(request.transaction);
    return answer;
  }

  #track(answer: Promise<Answer>): Promise<Answer> {
    this.#inProgress.add(answer);
    const done = () => this.#inProgress.delete(answer);
    answer.then(done, done);
    return answer;
  }
}
