/** A small NBD client with any number of commands in flight, which waits as long as it takes. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { invariant } from '../../src/errors.js';
import {
  NBD_CMD_DISC,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_INFO_EXPORT,
  NBD_OPT_GO,
  NBD_REP_ACK,
  NBD_REP_INFO,
  NBD_SIMPLE_REPLY_BYTES,
  NBD_SIMPLE_REPLY_MAGIC,
} from '../../src/nbd/constants.js';
import { clientFlags, goData, option, requestHeader } from '../nbd/support.js';

const GREETING_BYTES = 18;
const OPTION_REPLY_BYTES = 20;

/** Fixed newstyle, and no zeroes after the handshake. */
const CLIENT_FLAGS = 3;

const NOTHING = Buffer.alloc(0);

interface PendingCommand {
  /** Of the data that follows the reply. */
  readonly lengthBytes: number;
  resolve(data: Buffer): void;
  reject(error: Error): void;
}

/** The commands that a device must know to be loaded. */
export interface LoadedDevice {
  readonly sizeBytes: number;
  read(offset: number, lengthBytes: number): Promise<Buffer>;
  write(offset: number, data: Buffer, options?: { fua?: boolean }): Promise<void>;
  writeZeroes(offset: number, lengthBytes: number): Promise<void>;
  flush(): Promise<void>;
}

export class NbdClient implements LoadedDevice {
  readonly sizeBytes: number;
  readonly #socket: Socket;
  readonly #pending = new Map<number, PendingCommand>();
  #received: Buffer;
  #nextCookie = 1;
  #lost: Error | undefined;

  private constructor(socket: Socket, sizeBytes: number, received: Buffer) {
    this.#socket = socket;
    this.sizeBytes = sizeBytes;
    this.#received = received;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('close', () => this.#onClose());
  }

  /** Connects to the export called `name` that is served on a Unix socket. */
  static async connect(path: string, name: string): Promise<NbdClient> {
    const socket = createConnection(path);
    // Whatever went wrong, the end of the socket says it to those who wait.
    socket.on('error', () => {});
    await once(socket, 'connect');
    const handshake = new Handshake(socket);
    const sizeBytes = await handshake.go(name);
    return new NbdClient(socket, sizeBytes, handshake.end());
  }

  read(offset: number, lengthBytes: number): Promise<Buffer> {
    return this.#run(requestHeaderOf(NBD_CMD_READ, offset, lengthBytes), NOTHING, lengthBytes);
  }

  /** `data` must not change until it resolves. */
  async write(offset: number, data: Buffer, options: { fua?: boolean } = {}): Promise<void> {
    const flags = options.fua === true ? NBD_CMD_FLAG_FUA : 0;
    await this.#run(requestHeaderOf(NBD_CMD_WRITE, offset, data.length, flags), data);
  }

  async writeZeroes(offset: number, lengthBytes: number): Promise<void> {
    await this.#run(requestHeaderOf(NBD_CMD_WRITE_ZEROES, offset, lengthBytes));
  }

  async flush(): Promise<void> {
    await this.#run(requestHeaderOf(NBD_CMD_FLUSH, 0, 0));
  }

  /** Hangs up politely; commands in flight reject. */
  async close(): Promise<void> {
    if (this.#socket.closed) return;
    this.#socket.end(requestHeaderOf(NBD_CMD_DISC, 0, 0)(0));
    await once(this.#socket, 'close');
  }

  #run(
    header: (cookie: number) => Buffer,
    data: Buffer = NOTHING,
    replyBytes = 0,
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) {
        reject(this.#lost);
        return;
      }
      const cookie = this.#nextCookie++;
      this.#pending.set(cookie, { lengthBytes: replyBytes, resolve, reject });
      this.#socket.cork();
      this.#socket.write(header(cookie));
      if (data.length > 0) this.#socket.write(data);
      this.#socket.uncork();
    });
  }

  #onData(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (this.#takeReply());
  }

  #takeReply(): boolean {
    const received = this.#received;
    if (received.length < NBD_SIMPLE_REPLY_BYTES) return false;
    invariant(received.readUInt32BE(0) === NBD_SIMPLE_REPLY_MAGIC, 'a reply has its magic');
    const errno = received.readUInt32BE(4);
    const cookie = Number(received.readBigUInt64BE(8));
    const command = this.#pending.get(cookie);
    invariant(command !== undefined, 'a reply is to a command in flight');
    const end = NBD_SIMPLE_REPLY_BYTES + (errno === 0 ? command.lengthBytes : 0);
    if (received.length < end) return false;
    this.#received = received.subarray(end);
    this.#pending.delete(cookie);
    if (errno === 0) command.resolve(received.subarray(NBD_SIMPLE_REPLY_BYTES, end));
    else command.reject(new Error(`the device answered with errno ${errno}`));
    return true;
  }

  #onClose(): void {
    this.#lost = new Error('the bridge hung up');
    for (const { reject } of this.#pending.values()) reject(this.#lost);
    this.#pending.clear();
  }
}

function requestHeaderOf(
  command: number,
  offset: number,
  lengthBytes: number,
  flags = 0,
): (cookie: number) => Buffer {
  return (cookie) => requestHeader(command, { offset, lengthBytes, flags, cookie });
}

/** The part of the conversation that goes step by step. */
class Handshake {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Returns the size of the export, which is ready for requests then. */
  async go(name: string): Promise<number> {
    await this.#take(GREETING_BYTES);
    this.#socket.write(clientFlags(CLIENT_FLAGS));
    this.#socket.write(option(NBD_OPT_GO, goData(name)));
    let sizeBytes: number | undefined;
    for (;;) {
      const header = await this.#take(OPTION_REPLY_BYTES);
      const type = header.readUInt32BE(12);
      const data = await this.#take(header.readUInt32BE(16));
      if (type === NBD_REP_ACK) break;
      if (type !== NBD_REP_INFO) throw new Error(`GO was answered with ${type}`);
      if (data.readUInt16BE(0) === NBD_INFO_EXPORT) sizeBytes = Number(data.readBigUInt64BE(2));
    }
    if (sizeBytes === undefined) throw new Error('GO told no size');
    return sizeBytes;
  }

  /** What came after the handshake. */
  end(): Buffer {
    return this.#socket.read() ?? NOTHING;
  }

  async #take(lengthBytes: number): Promise<Buffer> {
    if (lengthBytes === 0) return NOTHING;
    for (;;) {
      const bytes: Buffer | null = this.#socket.read(lengthBytes);
      if (bytes !== null) return bytes;
      if (this.#socket.readableEnded) throw new Error('the bridge hung up in the handshake');
      await once(this.#socket, 'readable');
    }
  }
}
