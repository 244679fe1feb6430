import { FRAME_HEADER_BYTES_MAX, FRAME_PAYLOAD_PIECE_BYTES_MIN } from '../limits.js';
import type { ControlKind, Frame, ReplyKind, RequestKind } from './frame.js';
import { NO_PIECES } from './frame.js';
import { decodeHeader, decodeMap, type Header, protocolError } from './header.js';
import { KIND } from './kinds.js';

/** Whether a payload of so many bytes may follow this header; throws where it may not. */
export type PayloadRule = (header: Header) => void;

/**
 * Cuts a stream of bytes into frames, whatever the pieces that it arrives in. Payloads are
 * handed on as slices of those pieces, or copied once where the pieces are crumbs; bodies of
 * control frames are copied as they come, unless they come whole. What it holds is bounded: one
 * header, or one payload, whose size `rule` has agreed to before a byte of it is kept.
 */
export class FrameDecoder {
  readonly #rule: PayloadRule;
  readonly #onFrame: (frame: Frame) => void;
  readonly #scratch = Buffer.allocUnsafe(1 + FRAME_HEADER_BYTES_MAX);
  #scratchBytes = 0;
  #header: Header | undefined;
  #pieces: Buffer[] = [];
  /** The whole payload's buffer, once its pieces have turned out to be crumbs. */
  #joined: Buffer | undefined;
  #missingBytes = 0;
  #state: 'header' | 'marker' | 'payload' | 'broken' = 'header';

  constructor(rule: PayloadRule, onFrame: (frame: Frame) => void) {
    this.#rule = rule;
    this.#onFrame = onFrame;
  }

  /** True between frames: nothing of a next one has arrived. */
  get idle(): boolean {
    return this.#state === 'header' && this.#scratchBytes === 0;
  }

  /**
   * Takes the next bytes. Throws DST_E_PROTOCOL, or what the rule or the handler threw; from
   * then on it takes nothing more, as where the next frame begins is not known.
   */
  push(chunk: Buffer): void {
    let at = 0;
    try {
      while (at < chunk.length) at = this.#take(chunk, at);
    } catch (error) {
      this.#state = 'broken';
      this.#pieces = [];
      this.#joined = undefined;
      throw error;
    }
  }

  /** Takes bytes from `at` on; returns where those that are left begin. */
  #take(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case 'header':
        return this.#takeHeader(chunk, at);
      case 'marker':
        return this.#takeMarker(chunk, at);
      case 'payload':
        return this.#takePayload(chunk, at);
      case 'broken':
        return chunk.length;
    }
  }

  #takeHeader(chunk: Buffer, at: number): number {
    if (this.#scratchBytes === 0) {
      const headerBytes = checkHeaderLength(chunk[at] as number);
      const end = at + 1 + headerBytes;
      if (end <= chunk.length) {
        this.#headerComplete(decodeHeader(chunk, at + 1, end));
        return end;
      }
    }
    const headerBytes =
      this.#scratchBytes > 0 ? (this.#scratch[0] as number) : (chunk[at] as number);
    const next = this.#fillScratch(chunk, at, 1 + headerBytes);
    if (this.#scratchBytes === 1 + headerBytes) {
      this.#scratchBytes = 0;
      this.#headerComplete(decodeHeader(this.#scratch, 1, 1 + headerBytes));
    }
    return next;
  }

  #headerComplete(header: Header): void {
    this.#rule(header);
    if (header.payloadBytes === 0) {
      this.#onFrame(toFrame(header, NO_PIECES));
      return;
    }
    this.#header = header;
    this.#state = 'marker';
  }

  /** A msgpack bin 8, 16 or 32 whose length is the one that the header announced. */
  #takeMarker(chunk: Buffer, at: number): number {
    const first = this.#scratchBytes > 0 ? (this.#scratch[0] as number) : (chunk[at] as number);
    const lengthFieldBytes = first === 0xc4 ? 1 : first === 0xc5 ? 2 : first === 0xc6 ? 4 : 0;
    if (lengthFieldBytes === 0) throw protocolError('a payload that is not a msgpack bin');
    const next = this.#fillScratch(chunk, at, 1 + lengthFieldBytes);
    if (this.#scratchBytes < 1 + lengthFieldBytes) return next;
    this.#scratchBytes = 0;
    const lengthBytes = this.#scratch.readUIntBE(1, lengthFieldBytes);
    if (lengthBytes !== this.#header?.payloadBytes) {
      throw protocolError('a payload whose length is not the one in its header');
    }
    this.#missingBytes = lengthBytes;
    this.#state = 'payload';
    return next;
  }

  #takePayload(chunk: Buffer, at: number): number {
    const takenBytes = Math.min(this.#missingBytes, chunk.length - at);
    const header = this.#header as Header;
    this.#keep(chunk.subarray(at, at + takenBytes), header);
    this.#missingBytes -= takenBytes;
    if (this.#missingBytes === 0) {
      const pieces = this.#pieces;
      this.#header = undefined;
      this.#pieces = [];
      this.#joined = undefined;
      this.#state = 'header';
      this.#onFrame(toFrame(header, pieces));
    }
    return at + takenBytes;
  }

  #keep(piece: Buffer, { kind, payloadBytes }: Header): void {
    if (this.#joined !== undefined) {
      piece.copy(this.#joined, payloadBytes - this.#missingBytes);
      return;
    }
    this.#pieces.push(piece);
    // A piece may pin a larger buffer of the transport's, and a stranger may send a body.
    const slicesMax = kind < KIND.read ? 0 : 1 + payloadBytes / FRAME_PAYLOAD_PIECE_BYTES_MIN;
    if (piece.length === payloadBytes || this.#pieces.length <= slicesMax) return;
    this.#joined = Buffer.allocUnsafe(payloadBytes);
    let at = 0;
    for (const early of this.#pieces) at += early.copy(this.#joined, at);
    this.#pieces = [this.#joined];
  }

  #fillScratch(chunk: Buffer, at: number, wantedBytes: number): number {
    const takenBytes = Math.min(wantedBytes - this.#scratchBytes, chunk.length - at);
    chunk.copy(this.#scratch, this.#scratchBytes, at, at + takenBytes);
    this.#scratchBytes += takenBytes;
    return at + takenBytes;
  }
}

function checkHeaderLength(lengthBytes: number): number {
  if (lengthBytes === 0 || lengthBytes > FRAME_HEADER_BYTES_MAX) {
    throw protocolError('a header length that is not a positive fixint');
  }
  return lengthBytes;
}

function toFrame(header: Header, payload: readonly Buffer[]): Frame {
  if (header.kind >= KIND.done) {
    return {
      kind: header.kind as ReplyKind,
      transaction: header.transaction,
      errno: header.flags,
      checksum: header.checksum,
      payload,
      payloadBytes: header.payloadBytes,
    };
  }
  if (header.kind >= KIND.read) {
    return {
      kind: header.kind as RequestKind,
      transaction: header.transaction,
      flags: header.flags,
      retired: header.retired,
      offset: header.offset,
      lengthBytes: header.lengthBytes,
      checksum: header.checksum,
      payload,
    };
  }
  const bytes = payload.length === 1 ? (payload[0] as Buffer) : Buffer.concat(payload as Buffer[]);
  return {
    kind: header.kind as ControlKind,
    sequence: header.transaction,
    body: header.payloadBytes === 0 ? {} : decodeMap(bytes),
  };
}
