import { randomBytes } from 'node:crypto';
import { EPOCHS_RESERVED, TRANSACTIONS_RESERVED } from '../limits.js';
import { SESSION_BYTES } from '../protocol/messages.js';
import type { SessionJournal, SessionRecord } from './session-record.js';

/** Where a session comes from, and where its record is kept: by default from and in nothing. */
interface Origin {
  readonly journal?: SessionJournal | undefined;
  readonly resume?: SessionRecord | undefined;
}

/**
 * Who a client is to an export: its session's id, and which epochs and transaction ids it has
 * used. Kept by whoever tries several times to open a session, as the export may have let in
 * one that never heard of it.
 *
 * With a journal the session can be resumed by another process. That one begins above what the
 * record allows, so that nothing is used twice, whatever this one had used of it: the export's
 * table never answers a new command for an old one, and the old ones are all retired.
 */
export class SessionIdentity {
  /** Another process had the session before. */
  readonly resumed: boolean;
  /** Whether the session's record is kept anywhere. */
  readonly journaled: boolean;
  readonly #journal: SessionJournal | undefined;
  #record: SessionRecord;
  #epoch: number;

  /** A new session, or the one that `resume` is the last record of. */
  constructor({ journal, resume }: Origin = {}) {
    this.resumed = resume !== undefined;
    this.journaled = journal !== undefined;
    this.#journal = journal;
    this.#record = resume ?? {
      id: randomBytes(SESSION_BYTES),
      epoch: 0,
      transaction: 1,
      verifier: undefined,
      unflushed: false,
    };
    this.#epoch = this.#record.epoch;
  }

  get id(): Buffer {
    return this.#record.id;
  }

  /** As it was saved last. */
  get record(): SessionRecord {
    return this.#record;
  }

  /** The epoch of the last connection that said HELLO. */
  get epoch(): number {
    return this.#epoch;
  }

  /** An epoch that no connection has had. Throws what the journal throws. */
  nextEpoch(): number {
    const epoch = this.#epoch + 1;
    if (epoch > this.#record.epoch) this.save({ epoch: this.#epoch + EPOCHS_RESERVED });
    this.#epoch = epoch;
    return epoch;
  }

  /** To be called before a transaction goes out with this id. Throws what the journal throws. */
  useTransaction(id: number): void {
    if (id >= this.#record.transaction) this.save({ transaction: id + TRANSACTIONS_RESERVED });
  }

  /** Changes the record. Throws what the journal throws, with nothing changed. */
  save(change: Partial<Omit<SessionRecord, 'id'>>): void {
    const record = { ...this.#record, ...change };
    this.#journal?.save(record);
    this.#record = record;
  }
}
