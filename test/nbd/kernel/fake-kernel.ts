import { once } from 'node:events';
import { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { load } from 'koffi';
import type { KernelDriver } from '../../../src/nbd/kernel/attachment.js';
import type { KernelDeviceChange, KernelDeviceSettings } from '../../../src/nbd/kernel/driver.js';
import { until } from '../../support/wait.js';
import { requestHeader } from '../support.js';

const duplicate = load(null).func('int dup(int fd)') as (fd: number) => number;

/** The kernel's end of one connection. */
export class KernelSocket {
  readonly socket: Socket;
  ended = false;
  #received: Buffer = Buffer.alloc(0);

  constructor(fd: number) {
    this.socket = new Socket({ fd, allowHalfOpen: true });
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    this.socket.on('close', () => {
      this.ended = true;
    });
    this.socket.on('end', () => this.socket.destroy());
  }

  send(command: number, fields: Parameters<typeof requestHeader>[1] = {}, payload?: Buffer): void {
    this.socket.write(requestHeader(command, fields));
    if (payload !== undefined) this.socket.write(payload);
  }

  /** The next answer without data. */
  async answer(): Promise<{ error: number; cookie: number }> {
    await until(() => this.#received.length >= 16, 'an answer');
    const header = this.#received.subarray(0, 16);
    this.#received = this.#received.subarray(16);
    return { error: header.readUInt32BE(4), cookie: Number(header.readBigUInt64BE(8)) };
  }

  /** As the kernel gives a connection up. */
  shut(): void {
    this.socket.destroy();
  }
}

/** Plays the kernel's NBD driver, for one device, on the other ends of real sockets. */
export class FakeKernel implements KernelDriver {
  /** Live and dead ones, by their places. */
  readonly sockets: KernelSocket[] = [];
  readonly resized: number[] = [];
  settings: KernelDeviceSettings | undefined;
  attached = false;
  reconfigures = 0;
  /** The last one that was asked for. */
  change: KernelDeviceChange | undefined;
  /** What the next requests are refused with. */
  refusal: Error | undefined;
  /** The kernel has not noticed yet that sockets have died. */
  slowToNotice = false;

  constructor(t: TestContext) {
    t.after(() => this.#shutAll());
  }

  async connect(
    index: number | 'auto',
    sockets: readonly number[],
    settings: KernelDeviceSettings,
  ): Promise<number> {
    this.#refuse();
    this.settings = settings;
    this.attached = true;
    this.sockets.push(...sockets.map((fd) => new KernelSocket(duplicate(fd))));
    return index === 'auto' ? 0 : index;
  }

  async reconfigure(_index: number, change: KernelDeviceChange): Promise<void> {
    this.reconfigures++;
    this.change = change;
    this.#refuse();
    if (!this.attached) throw new Error('not attached');
    if (change.sizeBytes !== undefined) this.resized.push(change.sizeBytes);
    for (const fd of change.sockets ?? []) {
      const dead = this.slowToNotice ? -1 : this.sockets.findIndex(({ ended }) => ended);
      if (dead >= 0) this.sockets[dead] = new KernelSocket(duplicate(fd));
    }
  }

  async disconnect(): Promise<void> {
    this.#refuse();
    await this.letGo();
  }

  async connected(): Promise<number[]> {
    return this.attached ? [0] : [];
  }

  /** Says NBD_CMD_DISC on each socket, and shuts it. */
  async letGo(): Promise<void> {
    this.attached = false;
    for (const { socket } of this.sockets) {
      if (!socket.writable) continue;
      socket.end(requestHeader(2));
      await Promise.race([once(socket, 'finish'), once(socket, 'close')]);
    }
    this.#shutAll();
  }

  #shutAll(): void {
    for (const socket of this.sockets) socket.shut();
  }

  #refuse(): void {
    const { refusal } = this;
    if (refusal !== undefined) throw refusal;
  }
}
