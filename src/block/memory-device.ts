import { randomBytes } from 'node:crypto';
import { BLOCK_STATUS_EXTENTS_MAX, MEMORY_STATUS_BYTES_MAX } from '../limits.js';
import { checkRange } from './check-range.js';
import type { BlockDevice, Capabilities, Extent, Geometry } from './device.js';
import { type Payload, payloadOf } from './payload.js';

const CHUNK_BYTES = 64 * 1024;

/**
 * Storage in memory, allocated in chunks as it is written: for tests and scratch.
 * Its content, and so its verifier, lives as long as the object.
 */
export class MemoryDevice implements BlockDevice {
  readonly description: string;
  readonly geometry: Geometry;
  readonly verifier = randomBytes(16);
  readonly capabilities: Capabilities;
  readonly #chunks = new Map<number, Buffer>();

  constructor(sizeBytes: number, options: { readOnly?: boolean } = {}) {
    this.description = `memory of ${sizeBytes} bytes`;
    this.geometry = { sizeBytes, minimumBlockBytes: 1, preferredBlockBytes: 4096 };
    this.capabilities = {
      readOnly: options.readOnly ?? false,
      flush: true,
      fua: true,
      trim: true,
      writeZeroes: true,
      fastZero: true,
      blockStatus: true,
      cache: true,
      rotational: false,
    };
  }

  async read(offset: number, lengthBytes: number): Promise<Payload> {
    checkRange(this, 'read', offset, lengthBytes);
    const target = Buffer.allocUnsafe(lengthBytes);
    for (const [index, start, end, at] of chunksOf(offset, lengthBytes)) {
      const chunk = this.#chunks.get(index);
      if (chunk === undefined) target.fill(0, at, at + end - start);
      else chunk.copy(target, at, start, end);
    }
    return payloadOf([target]);
  }

  async write(offset: number, payload: Payload): Promise<void> {
    checkRange(this, 'write', offset, payload.lengthBytes);
    let position = offset;
    for (const piece of payload.pieces) {
      for (const [index, start, end, at] of chunksOf(position, piece.length)) {
        piece.copy(this.#chunk(index), start, at, at + end - start);
      }
      position += piece.length;
    }
  }

  async flush(): Promise<void> {}

  async trim(offset: number, lengthBytes: number): Promise<void> {
    checkRange(this, 'trim', offset, lengthBytes);
    this.#clear(offset, lengthBytes);
  }

  async writeZeroes(offset: number, lengthBytes: number): Promise<void> {
    checkRange(this, 'write zeroes', offset, lengthBytes);
    this.#clear(offset, lengthBytes);
  }

  async blockStatus(offset: number, lengthBytes: number): Promise<readonly Extent[]> {
    checkRange(this, 'block status', offset, lengthBytes);
    const extents: Extent[] = [];
    let runBytes = 0;
    let hole = false;
    const endRun = () => {
      if (runBytes > 0) extents.push({ lengthBytes: runBytes, hole, zero: hole });
    };
    const walked = Math.min(lengthBytes, MEMORY_STATUS_BYTES_MAX);
    for (const [index, start, end] of chunksOf(offset, walked)) {
      if (this.#chunks.has(index) === hole) {
        endRun();
        if (extents.length === BLOCK_STATUS_EXTENTS_MAX) return extents;
        runBytes = 0;
        hole = !hole;
      }
      runBytes += end - start;
    }
    endRun();
    return extents;
  }

  async cache(offset: number, lengthBytes: number): Promise<void> {
    checkRange(this, 'cache', offset, lengthBytes);
  }

  /** Nobody else can have changed it. */
  async reread(): Promise<void> {}

  async close(): Promise<void> {
    this.#chunks.clear();
  }

  #chunk(index: number): Buffer {
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      chunk = Buffer.alloc(CHUNK_BYTES);
      this.#chunks.set(index, chunk);
    }
    return chunk;
  }

  #clear(offset: number, lengthBytes: number): void {
    // Over a sparse terabyte, walking what is there is cheaper than walking the range.
    if (lengthBytes / CHUNK_BYTES > this.#chunks.size) {
      for (const [index, chunk] of this.#chunks) {
        const start = Math.max(0, offset - index * CHUNK_BYTES);
        const end = Math.min(CHUNK_BYTES, offset + lengthBytes - index * CHUNK_BYTES);
        if (start < end) this.#clearChunk(index, chunk, start, end);
      }
      return;
    }
    for (const [index, start, end] of chunksOf(offset, lengthBytes)) {
      const chunk = this.#chunks.get(index);
      if (chunk !== undefined) this.#clearChunk(index, chunk, start, end);
    }
  }

  #clearChunk(index: number, chunk: Buffer, start: number, end: number): void {
    if (end - start === CHUNK_BYTES) this.#chunks.delete(index);
    else chunk.fill(0, start, end);
  }
}

/** [chunk index, start in it, end in it, position in the range] for each chunk touched. */
function* chunksOf(
  offset: number,
  lengthBytes: number,
): Generator<[index: number, start: number, end: number, at: number]> {
  let at = 0;
  while (at < lengthBytes) {
    const index = Math.floor((offset + at) / CHUNK_BYTES);
    const start = offset + at - index * CHUNK_BYTES;
    const end = Math.min(CHUNK_BYTES, start + lengthBytes - at);
    yield [index, start, end, at];
    at += end - start;
  }
}
