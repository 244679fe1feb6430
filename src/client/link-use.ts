import type { Connection } from '../transport/transport.js';
import type { ConnectionNews } from './route/route.js';

/**
 * Tells of a session's connections whether they are of any use, once each: WELCOME does not
 * prove that transactions come through. One that was of use once stays so.
 */
export class LinkUse {
  readonly #heard: ((connection: Connection, news: ConnectionNews) => void) | undefined;
  #connection: Connection | undefined;
  #told: 'used' | 'useless' | undefined;

  constructor(heard: ((connection: Connection, news: ConnectionNews) => void) | undefined) {
    this.#heard = heard;
  }

  /** From now on it is this connection's use that counts. */
  begin(connection: Connection): void {
    this.#connection = connection;
    this.#told = undefined;
  }

  tell(use: 'used' | 'useless'): void {
    if (this.#connection === undefined || this.#told === 'used' || this.#told === use) return;
    this.#told = use;
    this.#heard?.(this.#connection, use);
  }
}
