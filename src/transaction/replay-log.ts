import { DstError, invariant } from '../errors.js';
import { REPLAY_ENTRY_BYTES } from '../limits.js';
import { FLAG } from '../protocol/kinds.js';
import { type Command, changes } from './command.js';
import { type Kept, SlabQueue } from './slab-queue.js';

interface Entry {
  readonly change: Omit<Command, 'payload'>;
  readonly kept: Kept | undefined;
}

/**
 * The acked changes that no flush covers yet, oldest first, with copies of what they wrote.
 * They are what the export may lose when its machine goes down, and are replayed then.
 *
 *   covered (dropped) │ entry  entry  entry  entry │
 *                     first                        next   (positions only grow)
 */
export class ReplayLog {
  readonly #boundBytes: number;
  readonly #slabs = new SlabQueue();
  readonly #entries: Entry[] = [];
  #head = 0;
  #first = 0;
  #bytes = 0;
  /** A loss that nobody has been told of: the next flush reports it. */
  #owed: DstError | undefined;
  /**
   * A flush has failed, which the kernel tells once: what it was to cover may be gone, and
   * later flushes may succeed all the same. `unproven` until all of it was made again.
   */
  #doubt: 'none' | 'unproven' | 'replayed' = 'none';

  /** With a bound of 0 nothing is kept. */
  constructor(boundBytes: number) {
    this.#boundBytes = boundBytes;
  }

  /** The position that the next change will have. */
  get next(): number {
    return this.#first + this.size;
  }

  get size(): number {
    return this.#entries.length - this.#head;
  }

  /** What the entries hold, with what each costs beside its payload. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the export may have lost what is here, without a change of its verifier. */
  get inDoubt(): boolean {
    return this.#doubt === 'unproven';
  }

  /** Whether the export may have lost what was here, as far as nobody has been told of it. */
  get doubtful(): boolean {
    return this.inDoubt || this.#owed !== undefined;
  }

  /** Whether a flush should be sent before the bound makes changes wait for one. */
  get nearBound(): boolean {
    return this.#bytes * 2 >= this.#boundBytes && this.size > 0;
  }

  /**
   * Whether a change may be sent that will have to be kept, beside those on their way, which
   * will cost `changingBytes`. One alone always may.
   */
  fits(command: Command, changingBytes: number): boolean {
    if (this.#boundBytes === 0 || this.#bytes + changingBytes === 0) return true;
    return this.#bytes + changingBytes + costBytes(command) <= this.#boundBytes;
  }

  /**
   * Puts a copy in the place of a change's payload, for as long as it may have to be made
   * again. At once and not at its ack, so that what is sent once more is what was sent before,
   * whatever becomes of the payload. The copy must be given back by `onChanged` or `release`.
   */
  keep(command: Command): Kept | undefined {
    if (this.#boundBytes === 0 || command.payload === undefined || !changes(command)) return;
    const kept = this.#slabs.keep(command.payload.pieces);
    command.payload = kept.payload;
    return kept;
  }

  release(kept: Kept): void {
    this.#slabs.release(kept);
  }

  /** A change was acked; `kept` is its copy, where it has a payload. */
  onChanged(command: Command, kept: Kept | undefined): void {
    // What is durable need only be kept where an older change would be replayed over it.
    const durable = (command.flags & FLAG.fua) !== 0;
    if (this.#boundBytes > 0 && (!durable || this.size > 0)) this.#append(command, kept);
    else if (kept !== undefined) this.release(kept);
  }

  /**
   * A flush was answered that covers the entries before a position. One of our own has nobody
   * to tell of its failure: the next caller's flush reports it. Returns the error that a flush
   * must report though the export said that it was done.
   */
  onFlushed(position: number, failed: boolean, own: boolean): DstError | undefined {
    if (failed) {
      this.doubt();
      if (own) this.#owed = lost('a flush of what was written before failed');
      return undefined;
    }
    if (this.inDoubt) return lost('a flush failed before');
    this.cover(position);
    this.#doubt = 'none';
    if (own) return undefined;
    const owed = this.#owed;
    this.#owed = undefined;
    return owed;
  }

  /** The export could not make durable what it had acked. */
  doubt(): void {
    if (this.size > 0) this.#doubt = 'unproven';
  }

  /** Every entry has been made again. */
  onReplayed(): void {
    if (this.inDoubt) this.#doubt = 'replayed';
  }

  onReplayFailed(): void {
    this.#owed = lost('a write that was acked before could not be made again');
  }

  /** Drops every entry before a position. */
  cover(position: number): void {
    while (this.#first < position) {
      const entry = this.#entries[this.#head];
      invariant(entry !== undefined, 'a flush covered a change that has not been made');
      this.#head++;
      this.#first++;
      this.#bytes -= costBytes(entry.change);
      if (entry.kept !== undefined) this.#slabs.release(entry.kept);
    }
    if (this.size === 0) this.#slabs.trim();
    if (this.#head * 2 >= this.#entries.length) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #append(command: Command, kept: Kept | undefined): void {
    invariant(changes(command), 'a command that changes nothing was logged');
    const { kind, flags, offset, lengthBytes, creditBytes } = command;
    this.#entries.push({ change: { kind, flags, offset, lengthBytes, creditBytes }, kept });
    this.#bytes += costBytes(command);
  }

  /** Every change, oldest first, as a command that makes it again. */
  *commands(): Generator<Command> {
    for (let at = this.#head; at < this.#entries.length; at++) {
      const { change, kept } = this.#entries[at] as Entry;
      yield { ...change, payload: kept?.payload };
    }
  }
}

/** What was acked may be gone. */
export function lost(what: string): DstError {
  return new DstError('DST_E_FLUSH_LOST', `${what}: it may be lost; check the export's disk`, {
    errno: 'EIO',
  });
}

/** What keeping a change would cost. */
export function costBytes(change: Pick<Command, 'creditBytes'>): number {
  return change.creditBytes + REPLAY_ENTRY_BYTES;
}
