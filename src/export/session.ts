import type { Checksum } from '../../wasm/checksums.js';
import { DstError, invariant } from '../errors.js';
import { CREDIT_BYTES_MIN, TRANSACTION_WINDOW } from '../limits.js';
import type { RequestFrame } from '../protocol/frame.js';
import { errnoValue } from '../protocol/messages.js';
import { Credit } from './credit.js';
import { type Answer, changes, damaged, execute, failed, isIntact } from './executor.js';
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

export const ALL_RULES: SessionRules = { fence: true, table: true };

/**
 * What a client holds with one store, across its connections. Only the lanes of the highest
 * epoch may carry out commands: `advance` fences every older one, `end` all of them.
 */
export class ExportSession {
  readonly store: Store;
  readonly readOnly: boolean;
  readonly #rules: SessionRules;
  readonly #table = new TransactionTable<Answer>(TRANSACTION_WINDOW);
  readonly #inProgress = new Set<Promise<Answer>>();
  #credit = new Credit(CREDIT_BYTES_MIN);
  /** Pending while commands of fenced connections are in progress. */
  #fence: Promise<void> | undefined;
  #epoch = -1;

  constructor(store: Store, readOnly: boolean, rules: SessionRules = ALL_RULES) {
    this.store = store;
    this.readOnly = readOnly;
    this.#rules = rules;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** What all lanes of the epoch have in flight together. */
  get credit(): Credit {
    return this.#credit;
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
    this.#credit = new Credit(CREDIT_BYTES_MIN);
    return this.fenced();
  }

  /**
   * Lets a further lane join the epoch; it may be welcomed when this resolves. Fences nothing.
   * Throws DST_E_EPOCH where another epoch is the last: a lane never begins one, so that
   * what fences is one HELLO, and what it fences are all lanes before it.
   */
  join(epoch: number): Promise<void> {
    if (epoch !== this.#epoch) {
      throw new DstError(
        'DST_E_EPOCH',
        `a lane of epoch ${epoch} has nothing to join: the session's is ${this.#epoch}`,
      );
    }
    // Not one of its own: whoever fences next must wait for what the other lanes begin meanwhile.
    return this.#fence ?? Promise.resolve();
  }

  /** Like `advance`, for good: no connection may follow. */
  end(): Promise<void> {
    this.#epoch = Number.POSITIVE_INFINITY;
    return this.fenced();
  }

  /**
   * Resolves when nothing is in progress that whoever comes next must not overlap with. To be
   * called only when no connection may begin a command: none may before this has resolved.
   *
   * So all who come meanwhile share one promise, and any number of HELLOs that a hung disk
   * keeps waiting costs little: no command can begin that the first of them did not see.
   */
  fenced(): Promise<void> {
    if (!this.#rules.fence) return Promise.resolve();
    this.#fence ??= this.settled().then(() => {
      this.#fence = undefined;
    });
    return this.#fence;
  }

  /** Resolves when no command is in progress of those that are now. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#inProgress);
  }

  /**
   * Carries a request out, once. A late copy of a change that has ended at the client, and a
   * payload that came damaged, are answered and not carried out. Rejects, with nothing done,
   * with DST_E_FENCED when the connection that it came on is fenced, and with DST_E_LIMIT
   * when its id is past the window.
   */
  async run(epoch: number, request: RequestFrame, checksum: Checksum): Promise<Answer> {
    invariant(epoch <= this.#epoch, 'a command of an epoch that was never welcomed');
    this.#refuseFenced(epoch);
    this.#table.retire(request.retired);
    if (!changes(request)) return this.#execute(request, checksum);
    if (this.readOnly) return this.#refuseChange();
    // A copy of what the table knows needs no look at its payload.
    const intact = this.#isKnown(request.transaction) || isIntact(request, checksum);
    if (typeof intact === 'boolean') return this.#change(request, intact, checksum);
    return this.#track(this.#changeLater(epoch, request, intact, checksum));
  }

  /**
   * The same once another thread has looked at the payload. Until then the request is as if it
   * had not come: a newer connection may fence it, and another copy be carried out before it.
   * Yet it is in progress, so that whoever waits until nothing is also waits for it.
   */
  async #changeLater(
    epoch: number,
    request: RequestFrame,
    intact: Promise<boolean>,
    checksum: Checksum,
  ): Promise<Answer> {
    const isWhole = await intact;
    this.#refuseFenced(epoch);
    return this.#change(request, isWhole, checksum);
  }

  /**
   * A damaged payload never gets into the table, where copies that came whole would be given
   * its answer.
   */
  #change(request: RequestFrame, intact: boolean, checksum: Checksum): Answer | Promise<Answer> {
    const { transaction } = request;
    if (this.#rules.table && transaction < this.#table.retired) return lateCopy(transaction);
    if (!intact && !this.#isKnown(transaction)) return damaged(request);
    if (!this.#rules.table) return this.#execute(request, checksum);
    return this.#table.run(transaction, () => this.#execute(request, checksum));
  }

  /** Whether the table answers for it: it is in progress, done, or ended at the client. */
  #isKnown(transaction: number): boolean {
    const table = this.#table;
    return this.#rules.table && (transaction < table.retired || table.has(transaction));
  }

  #execute(request: RequestFrame, checksum: Checksum): Promise<Answer> {
    return this.#track(execute(this.store.device, request, checksum));
  }

  #track(answer: Promise<Answer>): Promise<Answer> {
    this.#inProgress.add(answer);
    const done = () => this.#inProgress.delete(answer);
    answer.then(done, done);
    return answer;
  }

  #refuseFenced(epoch: number): void {
    if (epoch === this.#epoch || !this.#rules.fence) return;
    throw new DstError('DST_E_FENCED', 'a newer connection of this session has taken over');
  }

  #refuseChange(): Answer {
    return failed(
      new DstError('DST_E_READ_ONLY', `export "${this.store.name}" is read-only here`),
      errnoValue('EPERM'),
    );
  }
}

function lateCopy(transaction: number): Answer {
  return failed(
    new DstError('DST_E_RETIRED', `transaction ${transaction} has ended before: a late copy`),
    errnoValue('EIO'),
  );
}
