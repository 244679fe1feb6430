/**
 * What an export remembers of a session's changing commands, so that a resent one is carried
 * out once: in progress -> the copy joins it; done -> it is answered again.
 *
 *        retired                                highest seen
 *   ────────┼──────────────── window ────────────────┼────────>  ids
 *   forgotten   in progress (promise) or done (answer)   unknown
 *
 * Entries go when the client's retired mark passes them; the window bounds the rest.
 */
import { DstError, invariant } from '../errors.js';

export class TransactionTable<Answer> {
  readonly #entries = new Map<number, Promise<Answer>>();
  readonly #window: number;
  #retired = 0;

  constructor(window: number) {
    this.#window = window;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Every id below it has ended at the client. */
  get retired(): number {
    return this.#retired;
  }

  /** Whether the id is in progress or done. */
  has(id: number): boolean {
    return this.#entries.has(id);
  }

  /**
   * Runs `execute` unless this id has been seen, and returns its answer either way. Not for
   * an id below the retired mark: that is a late copy of what has ended at the client, and
   * must never be carried out. Throws DST_E_LIMIT for one past the window.
   */
  run(id: number, execute: () => Promise<Answer>): Promise<Answer> {
    invariant(id >= this.#retired, 'a late copy was to be carried out');
    const known = this.#entries.get(id);
    if (known !== undefined) return known;
    if (id - this.#retired >= this.#window) {
      throw new DstError(
        'DST_E_LIMIT',
        `transaction ${id} is ${id - this.#retired} above the retired mark; ${this.#window} is the limit`,
        { errno: 'EINVAL' },
      );
    }
    const answer = execute();
    this.#entries.set(id, answer);
    return answer;
  }

  /** The client's mark moves up, never down (an older frame may arrive late). */
  retire(below: number): void {
    if (below <= this.#retired) return;
    if (below - this.#retired > this.#entries.size) {
      for (const id of this.#entries.keys()) if (id < below) this.#entries.delete(id);
    } else {
      for (let id = this.#retired; id < below; id++) this.#entries.delete(id);
    }
    this.#retired = below;
  }
}
