import { randomBytes } from 'node:crypto';
import { SESSION_BYTES } from '../protocol/messages.js';

/**
 * Who a client is to an export: its session's id, and the epochs of the connections that it
 * has made. Kept by whoever tries several times to open a session, as the export may have
 * let in one that never heard of it.
 */
export class SessionIdentity {
  readonly id: Buffer = randomBytes(SESSION_BYTES);
  #epoch = 0;

  /** The epoch of the last connection that said HELLO. */
  get epoch(): number {
    return this.#epoch;
  }

  nextEpoch(): number {
    return ++this.#epoch;
  }
}
