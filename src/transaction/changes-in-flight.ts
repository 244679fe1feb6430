import { overlap } from '../block/overlap.js';
import { type Command, changes } from './command.js';
import { costBytes } from './replay-log.js';
import type { Transaction } from './transaction.js';

/**
 * The changes that have been sent and have not ended. Two that overlap are never among them:
 * their order on the disk would be anybody's guess, and a replay could turn it round.
 */
export class ChangesInFlight {
  readonly #all = new Set<AnyTransaction>();
  #bytes = 0;

  /** What keeping them all will cost the replay log. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a transaction that is about to be sent, if it changes anything. */
  add(transaction: AnyTransaction): void {
    const { command } = transaction;
    if (!changes(command) || this.#all.has(transaction)) return;
    this.#all.add(transaction);
    this.#bytes += costBytes(command);
  }

  has(transaction: AnyTransaction): boolean {
    return this.#all.has(transaction);
  }

  delete(transaction: AnyTransaction): void {
    if (this.#all.delete(transaction)) this.#bytes -= costBytes(transaction.command);
  }

  clear(): void {
    this.#all.clear();
    this.#bytes = 0;
  }

  /** Whether a change must wait for another one. */
  touches({ command }: AnyTransaction): boolean {
    for (const other of this.#all) if (overlap(command, other.command)) return true;
    return false;
  }
}

type AnyTransaction = Pick<Transaction<Command>, 'command'>;
