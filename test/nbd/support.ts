import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import type {
  BlockDevice,
  Capabilities,
  Extent,
  Geometry,
  WriteFlags,
  WriteZeroesFlags,
} from '../../src/block/device.js';
import { type Payload, payloadOf } from '../../src/block/payload.js';
import { silentLog } from '../../src/log.js';
import { Bridge, type BridgeOptions } from '../../src/nbd/bridge.js';
import {
  NBD_OPT_GO,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
} from '../../src/nbd/constants.js';

export const EVERYTHING: Capabilities = {
  readOnly: false,
  flush: true,
  fua: true,
  trim: true,
  writeZeroes: true,
  fastZero: true,
  blockStatus: true,
  cache: true,
  rotational: false,
};

/**
 * A device that answers only when told to: each command waits in `waiting`, and what it
 * was called with is in `calls`. `unreleased` counts read payloads that nobody gave back.
 */
export class ScriptedDevice implements BlockDevice {
  readonly description = 'a scripted device';
  readonly verifier = Buffer.alloc(16);
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly calls: { command: string; offset: number; lengthBytes: number; flags: object }[] = [];
  readonly waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  unreleased = 0;
  /** Extents that a block status is answered with. */
  extents: readonly Extent[] = [];
  /** Added to the length of what a read returns. */
  excessBytes = 0;
  #answersAtOnce: boolean;

  constructor(
    options: {
      capabilities?: Partial<Capabilities>;
      minimumBlockBytes?: number;
      sizeBytes?: number;
      answersAtOnce?: boolean;
    } = {},
  ) {
    this.capabilities = { ...EVERYTHING, ...options.capabilities };
    this.geometry = {
      sizeBytes: options.sizeBytes ?? 64 * 1024 * 1024,
      minimumBlockBytes: options.minimumBlockBytes ?? 1,
      preferredBlockBytes: 4096,
    };
    this.#answersAtOnce = options.answersAtOnce ?? false;
  }

  /** Answers all that waits, and from now on everything at once. */
  open(): void {
    this.#answersAtOnce = true;
    for (const { resolve } of this.waiting.splice(0)) resolve();
  }

  async read(offset: number, lengthBytes: number): Promise<Payload> {
    await this.#gate('read', offset, lengthBytes);
    this.unreleased += 1;
    const payload = payloadOf([Buffer.alloc(lengthBytes + this.excessBytes, offset & 0xff)]);
    let released = false;
    const release = () => {
      if (released) throw new Error('a payload is released once');
      released = true;
      this.unreleased -= 1;
    };
    return { ...payload, release };
  }

  write(offset: number, payload: Payload, flags: WriteFlags): Promise<void> {
    return this.#gate('write', offset, payload.lengthBytes, flags);
  }

  flush(): Promise<void> {
    return this.#gate('flush', 0, 0);
  }

  trim(offset: number, lengthBytes: number, flags: WriteFlags): Promise<void> {
    return this.#gate('trim', offset, lengthBytes, flags);
  }

  writeZeroes(offset: number, lengthBytes: number, flags: WriteZeroesFlags): Promise<void> {
    return this.#gate('write zeroes', offset, lengthBytes, flags);
  }

  async blockStatus(offset: number, lengthBytes: number): Promise<readonly Extent[]> {
    await this.#gate('block status', offset, lengthBytes);
    return this.extents;
  }

  cache(offset: number, lengthBytes: number): Promise<void> {
    return this.#gate('cache', offset, lengthBytes);
  }

  async reread(): Promise<void> {}

  async close(): Promise<void> {}

  async #gate(command: string, offset: number, lengthBytes: number, flags = {}): Promise<void> {
    this.calls.push({ command, offset, lengthBytes, flags });
    if (this.#answersAtOnce) return;
    await new Promise<void>((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    });
  }
}

/** A folder that is gone after the test. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nbd-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A bridge called "disk" on a fresh Unix socket, closed after the test. */
export async function startBridge(
  t: TestContext,
  device: BlockDevice,
  options: Partial<BridgeOptions> = {},
): Promise<{ bridge: Bridge; path: string }> {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const bridge = await Bridge.listen({
    exportName: 'disk',
    device,
    listen: { path },
    log: silentLog,
    ...options,
  });
  t.after(() => bridge.close(0));
  return { bridge, path };
}

/** Runs a program and returns its output; a failure carries what it printed. */
export async function runTool(program: string, ...args: string[]): Promise<string> {
  // nbdsh is a script for the system's own Python.
  const env = { ...process.env, PATH: `/usr/bin:${process.env.PATH}` };
  const { stdout } = await promisify(execFile)(program, args, { env, timeout: 60_000 });
  return stdout;
}

/** A client of bare bytes, to say what no honest client would. */
export class RawClient {
  readonly socket: Socket;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #changed: () => void = () => {};
  #ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#receivedBytes += chunk.length;
      this.#changed();
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#changed();
    });
  }

  /** Connects and takes the greeting. */
  static async connect(t: TestContext, path: string): Promise<RawClient> {
    const socket = createConnection(path);
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    const client = new RawClient(socket);
    await client.take(18);
    return client;
  }

  /** Connects and goes through the handshake. */
  static async ready(
    t: TestContext,
    path: string,
    options: { structured?: boolean; status?: boolean } = {},
  ): Promise<RawClient> {
    const client = await RawClient.connect(t, path);
    client.send(clientFlags(3));
    if (options.structured === true) {
      client.send(option(NBD_OPT_STRUCTURED_REPLY));
      await client.takeOptionReply();
    }
    if (options.status === true) {
      client.send(option(NBD_OPT_SET_META_CONTEXT, contextData('disk', ['base:allocation'])));
      while ((await client.takeOptionReply()).type !== NBD_REP_ACK);
    }
    client.send(option(NBD_OPT_GO, goData('disk')));
    while ((await client.takeOptionReply()).type !== NBD_REP_ACK);
    return client;
  }

  send(...bytes: Buffer[]): void {
    for (const part of bytes) this.socket.write(part);
  }

  /** The next bytes; fails when the server hangs up before they came. */
  async take(lengthBytes: number): Promise<Buffer> {
    await this.#until(() => this.#receivedBytes >= lengthBytes);
    const all = Buffer.concat(this.#received);
    this.#received = [all.subarray(lengthBytes)];
    this.#receivedBytes -= lengthBytes;
    return all.subarray(0, lengthBytes);
  }

  /** Reads bytes and forgets them, however many. */
  async skip(lengthBytes: number): Promise<void> {
    let leftBytes = lengthBytes;
    while (leftBytes > 0) {
      await this.#until(() => this.#receivedBytes > 0);
      leftBytes -= (await this.take(Math.min(leftBytes, this.#receivedBytes))).length;
    }
  }

  async takeOptionReply(): Promise<{ option: number; type: number; data: Buffer }> {
    const header = await this.take(20);
    const data = await this.take(header.readUInt32BE(16));
    return { option: header.readUInt32BE(8), type: header.readUInt32BE(12), data };
  }

  async takeSimpleReply(): Promise<{ error: number; cookie: number }> {
    const header = await this.take(16);
    return { error: header.readUInt32BE(4), cookie: Number(header.readBigUInt64BE(8)) };
  }

  /** Resolves once the server has closed the connection. */
  async closed(): Promise<void> {
    await this.#until(() => this.#ended, true);
  }

  async #until(condition: () => boolean, mayEnd = false): Promise<void> {
    const deadline = setTimeout(() => this.socket.destroy(), 10_000);
    try {
      while (!condition()) {
        if (this.#ended && !mayEnd) throw new Error('the server hung up');
        await new Promise<void>((resolve) => {
          this.#changed = resolve;
        });
      }
    } finally {
      clearTimeout(deadline);
    }
  }
}

export function clientFlags(flags: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(flags);
  return bytes;
}

/** One option as a client sends it. */
export function option(number: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(16);
  header.write('IHAVEOPT', 'latin1');
  header.writeUInt32BE(number, 8);
  header.writeUInt32BE(data.length, 12);
  return Buffer.concat([header, data]);
}

export function lengthAndText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The data of INFO and GO. */
export function goData(name: string, wanted: number[] = []): Buffer {
  const requests = Buffer.alloc(2 + wanted.length * 2);
  requests.writeUInt16BE(wanted.length);
  wanted.forEach((info, index) => {
    requests.writeUInt16BE(info, 2 + index * 2);
  });
  return Buffer.concat([lengthAndText(name), requests]);
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function contextData(name: string, queries: string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  return Buffer.concat([lengthAndText(name), count, ...queries.map(lengthAndText)]);
}

/** A request header as a client sends it. */
export function requestHeader(
  command: number,
  fields: { offset?: number; lengthBytes?: number; flags?: number; cookie?: number } = {},
): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(0x25609513, 0);
  bytes.writeUInt16BE(fields.flags ?? 0, 4);
  bytes.writeUInt16BE(command, 6);
  bytes.writeBigUInt64BE(BigInt(fields.cookie ?? 1), 8);
  bytes.writeBigUInt64BE(BigInt(fields.offset ?? 0), 16);
  bytes.writeUInt32BE(fields.lengthBytes ?? 0, 24);
  return bytes;
}
