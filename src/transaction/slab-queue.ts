import { type Payload, payloadOf } from '../block/payload.js';
import { REPLAY_SLAB_BYTES, REPLAY_SLABS_FREE_MAX, REPLAY_SLABS_IDLE_MAX } from '../limits.js';

interface Slab {
  readonly bytes: Buffer;
  usedBytes: number;
  /** Payloads that lie in it, in part or whole. */
  users: number;
}

/** A payload's copy, and where it lies. */
export interface Kept {
  readonly payload: Payload;
  readonly slabs: readonly Slab[];
}

/**
 * Copies of payloads, packed into large buffers that are used again: thousands of small ones
 * would keep the garbage collector busy.
 */
export class SlabQueue {
  readonly #free: Slab[] = [];
  #current: Slab | undefined;

  keep(pieces: readonly Buffer[]): Kept {
    const copies: Buffer[] = [];
    const slabs: Slab[] = [];
    for (const piece of pieces) {
      for (let from = 0; from < piece.length; ) {
        const slab = this.#withRoom();
        if (slabs.at(-1) !== slab) {
          slabs.push(slab);
          slab.users++;
        }
        const at = slab.usedBytes;
        const taken = piece.copy(slab.bytes, at, from);
        from += taken;
        slab.usedBytes += taken;
        copies.push(slab.bytes.subarray(at, slab.usedBytes));
      }
    }
    return { payload: payloadOf(copies), slabs };
  }

  release(kept: Kept): void {
    for (const slab of kept.slabs) {
      slab.users--;
      if (slab.users > 0) continue;
      slab.usedBytes = 0;
      if (slab !== this.#current && this.#free.length < REPLAY_SLABS_FREE_MAX) {
        this.#free.push(slab);
      }
    }
  }

  /** Leaves most of what is free to the garbage collector. */
  trim(): void {
    this.#free.splice(REPLAY_SLABS_IDLE_MAX);
  }

  #withRoom(): Slab {
    if (this.#current === undefined || this.#current.usedBytes === this.#current.bytes.length) {
      this.#current = this.#free.pop() ?? {
        bytes: Buffer.allocUnsafeSlow(REPLAY_SLAB_BYTES),
        usedBytes: 0,
        users: 0,
      };
    }
    return this.#current;
  }
}
