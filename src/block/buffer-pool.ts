import {
  BUFFER_POOL_FREE_BYTES_MAX,
  BUFFER_POOL_SLAB_BYTES_MAX,
  BUFFER_POOL_SLAB_BYTES_MIN,
} from '../limits.js';
import type { Payload } from './payload.js';

/**
 * Reusable buffers in powers of two. A fresh large buffer costs page faults for each of
 * its pages, several times what filling it costs, so the hot path takes them from here.
 */
export class BufferPool {
  readonly #free = new Map<number, Buffer[]>();
  #freeBytes = 0;
  #usedBytes = 0;

  constructor(readonly freeBytesMax: number = BUFFER_POOL_FREE_BYTES_MAX) {}

  /** Bytes handed out and not yet released. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Bytes kept for reuse. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** A payload of one piece of `lengthBytes`, whose content is undefined. */
  acquire(lengthBytes: number): Payload & { readonly buffer: Buffer } {
    const slabBytes = slabSize(lengthBytes);
    const slab = this.#take(slabBytes);
    const buffer = slab.length === lengthBytes ? slab : slab.subarray(0, lengthBytes);
    this.#usedBytes += slabBytes;
    let released = false;
    return {
      buffer,
      pieces: [buffer],
      lengthBytes,
      release: () => {
        if (released) return;
        released = true;
        this.#usedBytes -= slabBytes;
        this.#give(slab, slabBytes);
      },
    };
  }

  #take(slabBytes: number): Buffer {
    const slab = this.#free.get(slabBytes)?.pop();
    if (slab === undefined) return Buffer.allocUnsafeSlow(slabBytes);
    this.#freeBytes -= slabBytes;
    return slab;
  }

  #give(slab: Buffer, slabBytes: number): void {
    if (slabBytes > BUFFER_POOL_SLAB_BYTES_MAX) return;
    if (this.#freeBytes + slabBytes > this.freeBytesMax) return;
    let slabs = this.#free.get(slabBytes);
    if (slabs === undefined) {
      slabs = [];
      this.#free.set(slabBytes, slabs);
    }
    slabs.push(slab);
    this.#freeBytes += slabBytes;
  }
}

function slabSize(lengthBytes: number): number {
  if (lengthBytes > BUFFER_POOL_SLAB_BYTES_MAX) return lengthBytes;
  let slabBytes = BUFFER_POOL_SLAB_BYTES_MIN;
  while (slabBytes < lengthBytes) slabBytes *= 2;
  return slabBytes;
}
