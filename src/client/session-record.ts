/**
 * What of a session must outlive the client's process, so that another process can go on with
 * it. The payloads of the replay log are not among it: see `unflushed`.
 */
export interface SessionRecord {
  readonly id: Buffer;
  /** No HELLO has ever said a higher epoch. */
  readonly epoch: number;
  /** No transaction has ever had this id, or a higher one. */
  readonly transaction: number;
  /**
   * Of the export that holds every acked change which is not flushed; undefined where it may
   * have lost one. It says nothing where all are flushed.
   */
  readonly verifier: Buffer | undefined;
  /** Changes were acked that may not be flushed: they are lost if the export's cache is. */
  readonly unflushed: boolean;
}

/** Where a session keeps its record. */
export interface SessionJournal {
  /**
   * Keeps a record in place of the last one; when this returns it must outlive the process, not
   * the machine. It is called before what the record allows is done, a few times a second at
   * most, and holds up every command meanwhile.
   *
   * A session must never be resumed from an older record than the last: where a record cannot be
   * kept, the older one has to go. It may throw where not even that can be done: then nothing is
   * sent, and no ack told, that the record does not allow; a command fails, or the process ends.
   */
  save(record: SessionRecord): void;
}
