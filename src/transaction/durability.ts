/**
 * What is known of the changes that were acked: all of them are flushed; the export has those
 * that are not; or it may have lost some, and has not been given all of them again.
 */
export type Durability = 'flushed' | 'held' | 'doubtful';
