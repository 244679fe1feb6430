import type {
  BlockDevice,
  Capabilities,
  Extent,
  Geometry,
  WriteFlags,
  WriteZeroesFlags,
} from '../block/device.js';
import { type Payload, payloadOf, slicePieces } from '../block/payload.js';
import { TRANSACTION_SPLIT_BYTES } from '../limits.js';
import { decodeExtents } from '../protocol/extents.js';
import type { ReplyFrame } from '../protocol/frame.js';
import { FLAG, KIND } from '../protocol/kinds.js';
import type { ExportDescription } from '../protocol/messages.js';
import { RemoteSession } from './session.js';
import type { SessionOptions } from './session-options.js';

/**
 * A store of an export as a `BlockDevice`. Commands wait through outages; large ones travel
 * as several transactions side by side.
 */
export class RemoteDevice implements BlockDevice {
  readonly description: string;
  readonly session: RemoteSession;
  readonly capabilities: Capabilities;
  readonly #splitBytes: number;

  private constructor(session: RemoteSession, exportName: string) {
    this.session = session;
    this.description = `export "${exportName}"`;
    this.capabilities = capabilitiesOf(session.offered);
    this.#splitBytes = Math.min(TRANSACTION_SPLIT_BYTES, session.payloadBytesMax);
  }

  /** Connects; rejects with a `DstError` that says why where that fails. */
  static async connect(options: SessionOptions): Promise<RemoteDevice> {
    return new RemoteDevice(await RemoteSession.open(options), options.exportName);
  }

  /** As it is now: the export may be resized. */
  get geometry(): Geometry {
    const { sizeBytes, minimumBlockBytes, preferredBlockBytes } = this.session.offered;
    return { sizeBytes, minimumBlockBytes, preferredBlockBytes };
  }

  get verifier(): Buffer {
    return this.session.welcome.verifier;
  }

  // No async function: each would add two promises to what most reads cost.
  read(offset: number, lengthBytes: number): Promise<Payload> {
    if (lengthBytes <= this.#splitBytes) return this.#readOne(offset, lengthBytes);
    const parts = this.#split(offset, lengthBytes, (start, bytes) => this.#readOne(start, bytes));
    return Promise.all(parts).then(joined);
  }

  // No async function: that would hold the payload until the ack, and the session has its own.
  write(offset: number, payload: Payload, flags: WriteFlags): Promise<void> {
    const bits = flags.fua ? FLAG.fua : 0;
    const { lengthBytes } = payload;
    if (lengthBytes <= this.#splitBytes) {
      return this.session
        .run(KIND.write, bits, offset, lengthBytes, lengthBytes, payload)
        .then(nothing);
    }
    return settleAll(
      this.#split(offset, lengthBytes, (start, bytes) => {
        const part = payloadOf(slicePieces(payload, start - offset, bytes));
        return this.session.run(KIND.write, bits, start, bytes, bytes, part);
      }),
    );
  }

  async flush(): Promise<void> {
    await this.session.run(KIND.flush, 0, 0, 0, 0, undefined);
  }

  async trim(offset: number, lengthBytes: number, flags: WriteFlags): Promise<void> {
    const bits = flags.fua ? FLAG.fua : 0;
    await this.session.run(KIND.trim, bits, offset, lengthBytes, 0, undefined);
  }

  async writeZeroes(offset: number, lengthBytes: number, flags: WriteZeroesFlags): Promise<void> {
    const bits =
      (flags.fua ? FLAG.fua : 0) |
      (flags.noHole ? FLAG.noHole : 0) |
      (flags.fastZero ? FLAG.fastZero : 0);
    await this.session.run(KIND.writeZeroes, bits, offset, lengthBytes, 0, undefined);
  }

  async blockStatus(offset: number, lengthBytes: number): Promise<readonly Extent[]> {
    const reply = await this.session.run(KIND.blockStatus, 0, offset, lengthBytes, 0, undefined);
    return decodeExtents(Buffer.concat(reply.payload as Buffer[]));
  }

  async cache(offset: number, lengthBytes: number): Promise<void> {
    await this.session.run(KIND.cache, 0, offset, lengthBytes, 0, undefined);
  }

  /** The export tells of a new size by itself. */
  async reread(): Promise<void> {}

  close(): Promise<void> {
    return this.session.close();
  }

  #readOne(offset: number, lengthBytes: number): Promise<Payload> {
    return this.session
      .run(KIND.read, 0, offset, lengthBytes, lengthBytes, undefined)
      .then(payloadOfReply);
  }

  #split<T>(
    offset: number,
    lengthBytes: number,
    issue: (offset: number, lengthBytes: number) => Promise<T>,
  ): Promise<T>[] {
    const parts: Promise<T>[] = [];
    for (let at = 0; at < lengthBytes; at += this.#splitBytes) {
      parts.push(issue(offset + at, Math.min(this.#splitBytes, lengthBytes - at)));
    }
    return parts;
  }
}

function nothing(): void {}

function payloadOfReply({ payload, payloadBytes }: ReplyFrame): Payload {
  return { pieces: payload, lengthBytes: payloadBytes, release: nothing };
}

function joined(parts: readonly Payload[]): Payload {
  return payloadOf(parts.flatMap((part) => part.pieces));
}

/** Waits for all, even past a failure: the caller's payload must stay put until then. */
async function settleAll(parts: Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(parts);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function capabilitiesOf(offered: ExportDescription): Capabilities {
  const has = new Set(offered.capabilities);
  return {
    readOnly: offered.readOnly,
    flush: has.has('flush'),
    fua: has.has('fua'),
    trim: has.has('trim'),
    writeZeroes: has.has('writeZeroes'),
    fastZero: has.has('fastZero'),
    blockStatus: has.has('blockStatus'),
    cache: has.has('cache'),
    rotational: has.has('rotational'),
  };
}
