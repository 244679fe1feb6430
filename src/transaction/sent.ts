import type { Command } from './command.js';
import type { Transaction } from './transaction.js';

/**
 * The transactions that have an id and have not ended. Ids are given in the order of sending;
 * every one below `retired` has ended, and is never sent again.
 */
export class Sent<C extends Command> {
  readonly #byId = new Map<number, Transaction<C>>();
  #nextId: number;
  #retired: number;

  constructor(firstId: number) {
    this.#nextId = firstId;
    this.#retired = firstId;
  }

  get retired(): number {
    return this.#retired;
  }

  get(id: number): Transaction<C> | undefined {
    return this.#byId.get(id);
  }

  /** Lowest id first. */
  all(): Iterable<Transaction<C>> {
    return this.#byId.values();
  }

  /** How far the id that it has, or would get, is above the retired mark. */
  distance({ id }: Transaction<C>): number {
    return (id === 0 ? this.#nextId : id) - this.#retired;
  }

  giveId(transaction: Transaction<C>): void {
    transaction.id = this.#nextId++;
    this.#byId.set(transaction.id, transaction);
  }

  drop(transaction: Transaction<C>): void {
    this.#byId.delete(transaction.id);
    while (this.#retired < this.#nextId && !this.#byId.has(this.#retired)) this.#retired++;
  }

  /** Takes every id back: what is sent from now on gets new ones. */
  renew(): void {
    for (const transaction of this.#byId.values()) transaction.id = 0;
    this.#byId.clear();
    this.#retired = this.#nextId;
  }
}
