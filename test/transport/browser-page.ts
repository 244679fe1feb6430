/**
 * What a web page needs to read from an export: a few frames of docs/PROTOCOL.md by hand. It
 * imports nothing and uses what browsers have, as the browser loads it just as it is compiled.
 */

export interface PageStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** As much of a WebTransport session as is used. */
export interface PageTransport {
  createBidirectionalStream(): Promise<PageStream>;
}

const KIND = { HELLO: 0x01, WELCOME: 0x02, READ: 0x10, DATA: 0x21 };

/** Attaches to an export that takes "none" for a checksum, and reads its first bytes. */
export async function readFirstBytes(
  transport: PageTransport,
  exportName: string,
  lengthBytes: number,
): Promise<Uint8Array> {
  const control = new FrameStream(await transport.createBidirectionalStream());
  await control.write(helloFrame(exportName));
  expectKind(await control.frame(), KIND.WELCOME);
  const request = new FrameStream(await transport.createBidirectionalStream());
  // Transaction 1, no flags, no payload, nothing retired, offset 0, the length, no checksum.
  const header = [0x98, KIND.READ, 1, 0, 0, 0, 0, ...uint16(lengthBytes), ...bin([])];
  await request.write(new Uint8Array([header.length, ...header]));
  const reply = await request.frame();
  expectKind(reply, KIND.DATA);
  return reply.payload;
}

function helloFrame(exportName: string): Uint8Array {
  const body = [
    0x8c,
    ...entry('version', [1]),
    ...entry('intent', str('attach')),
    ...entry('export', str(exportName)),
    ...entry('session', bin(crypto.getRandomValues(new Uint8Array(16)))),
    ...entry('epoch', [1]),
    ...entry('nonce', bin(crypto.getRandomValues(new Uint8Array(32)))),
    ...entry('checksums', [0x91, ...str('none')]),
    ...entry('readOnly', [0xc3]),
    ...entry('resuming', [0xc2]),
    ...entry('takeover', [0xc2]),
    ...entry('pingIntervalMs', uint16(10_000)),
    ...entry('agent', str('a web page')),
  ];
  const header = [0x94, KIND.HELLO, 0, 0, 0xcc, body.length];
  return new Uint8Array([header.length, ...header, ...bin(body)]);
}

// ---- msgpack, as much of it as the frames above have --------------------------------------

function entry(key: string, value: readonly number[]): number[] {
  return [...str(key), ...value];
}

function str(text: string): number[] {
  return [0xa0 + text.length, ...new TextEncoder().encode(text)];
}

function bin(bytes: ArrayLike<number>): number[] {
  return [0xc4, bytes.length, ...Array.from(bytes)];
}

function uint16(value: number): number[] {
  return [0xcd, value >> 8, value & 0xff];
}

interface PageFrame {
  readonly kind: number | undefined;
  readonly payload: Uint8Array;
}

function expectKind({ kind, payload }: PageFrame, wanted: number): void {
  if (kind === wanted) return;
  throw new Error(`a frame of kind ${kind} came: ${new TextDecoder().decode(payload)}`);
}

/** A stream that is read by frames. */
class FrameStream {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #received: number[] = [];

  constructor({ readable, writable }: PageStream) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#writer.write(bytes);
  }

  /** The next frame, which must have a payload. */
  async frame(): Promise<PageFrame> {
    const [headerBytes = 0] = await this.#take(1);
    const [, kind] = await this.#take(headerBytes);
    const [type = 0] = await this.#take(1);
    // bin 8, 16 and 32 are 0xc4, 0xc5 and 0xc6.
    const digits = await this.#take(2 ** (type - 0xc4));
    const lengthBytes = digits.reduce((value, digit) => value * 256 + digit, 0);
    return { kind, payload: new Uint8Array(await this.#take(lengthBytes)) };
  }

  async #take(lengthBytes: number): Promise<number[]> {
    while (this.#received.length < lengthBytes) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error('the stream has ended');
      this.#received.push(...value);
    }
    return this.#received.splice(0, lengthBytes);
  }
}
