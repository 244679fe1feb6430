import type { Socket } from 'node:net';
import { ReplyBatch } from './replies.js';

type Taken = () => void;

/**
 * Writes the replies of one event-loop turn to the client with one system call.
 *
 * The turn ends with setImmediate, not with nextTick: a disk or a network engine reports
 * each completion in a callback of its own, and nextTick would run between them.
 *
 * Data that is written is not copied: whoever adds it learns from `taken` when its buffers
 * may be reused, which is when the kernel has the bytes, or the socket is gone.
 */
export class ReplyWriter {
  readonly batch = new ReplyBatch();
  readonly #socket: Socket;
  #taken: Taken[] = [];
  #scheduled = false;
  /** Batches that the socket has and the kernel does not have all of. */
  readonly #writing = new Set<readonly Taken[]>();

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes that the client has not read, beyond what the kernel holds for it. */
  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  /** To be called after each reply that was added to `batch`. */
  added(taken?: Taken): void {
    if (taken !== undefined) this.#taken.push(taken);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flushScheduled);
  }

  /** Hands what is batched to the socket now. */
  flush(): void {
    const pieces = this.batch.take();
    const taken = this.#taken;
    if (taken.length > 0) this.#taken = [];
    const last = pieces.pop();
    if (last === undefined) return;
    const socket = this.#socket;
    if (!socket.writable) {
      callAll(taken);
      return;
    }
    if (taken.length > 0) this.#writing.add(taken);
    // What is one piece is written without the detour through a list of pieces.
    const several = pieces.length > 0;
    if (several) socket.cork();
    for (const piece of pieces) socket.write(piece);
    socket.write(last, taken.length > 0 ? () => this.#written(taken) : undefined);
    if (several) socket.uncork();
  }

  /** The socket is closed: nothing reads the buffers any more. */
  closed(): void {
    this.flush();
    for (const taken of this.#writing) callAll(taken);
    this.#writing.clear();
  }

  readonly #flushScheduled = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  #written(taken: readonly Taken[]): void {
    if (this.#writing.delete(taken)) callAll(taken);
  }
}

function callAll(taken: readonly Taken[]): void {
  for (const call of taken) call();
}
