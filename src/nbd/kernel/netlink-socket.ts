import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import type { KoffiFunc } from 'koffi';
import { systemError } from '../../block/system-error.js';
import { invariant } from '../../errors.js';
import { NETLINK_ANSWER_BYTES_MAX } from '../../limits.js';
import { type Answer, decodeAnswers, encodeRequest, type Request } from './netlink.js';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_GENERIC = 16;
const MSG_DONTWAIT = 0x40;
/** Makes recv(2) return the datagram's whole length, also where the buffer was too small. */
const MSG_TRUNC = 0x20;

/** A message with which the kernel answers, before it says how the request ended. */
export type Reply = Extract<Answer, { kind: 'message' }>;

type SendFunction = KoffiFunc<(fd: number, data: Buffer, length: number, flags: number) => number>;

interface Native {
  readonly errno: () => number;
  readonly send: SendFunction;
  readonly receive: (fd: number, data: Buffer, length: number, flags: number) => number;
}

/** Requests as `NbdDriver` makes them: a seam, so that tests can be the kernel. */
export interface NetlinkRequests {
  /** Rejects with a Node system error (`errno` negative) when the kernel refuses. */
  request(request: Request): Promise<readonly Reply[]>;
  close(): void;
}

/**
 * A socket of generic netlink, connected to the kernel and so deaf to everybody else.
 *
 * The kernel does what a message asks while it is being sent, on the sender's thread; its
 * answers lie there when send(2) returns. As that may take long, and may even need this
 * process to answer a block command first, it happens on the thread pool.
 */
export class NetlinkSocket implements NetlinkRequests {
  readonly #native: Native;
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(NETLINK_ANSWER_BYTES_MAX);
  /** One request at a time, so that answers belong to who reads them. */
  #last: Promise<unknown> = Promise.resolve();
  #sequence = 0;
  #closed = false;

  private constructor(native: Native, fd: number) {
    this.#native = native;
    this.#fd = fd;
  }

  /** Rejects with a Node system error where the kernel has no generic netlink. */
  static async open(): Promise<NetlinkSocket> {
    const koffi = await import('koffi');
    const libc = koffi.load(null);
    const socket = libc.func('int socket(int domain, int type, int protocol)');
    const connect = libc.func('int connect(int fd, const void *address, uint32_t length)');
    const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC) as number;
    if (fd < 0) throw systemError('socket', koffi.errno());
    // struct sockaddr_nl: the family; the port and the groups of the kernel are 0.
    const kernel = Buffer.alloc(12);
    new Uint16Array(kernel.buffer, kernel.byteOffset, 1)[0] = AF_NETLINK;
    if ((connect(fd, kernel, kernel.length) as number) < 0) {
      const errno = koffi.errno();
      closeSync(fd);
      throw systemError('connect', errno);
    }
    const send = libc.func('int64_t send(int fd, const void *data, size_t length, int flags)');
    const receive = libc.func('int64_t recv(int fd, _Out_ void *data, size_t length, int flags)');
    return new NetlinkSocket({ errno: () => koffi.errno(), send, receive }, fd);
  }

  request(request: Request): Promise<readonly Reply[]> {
    const answered = this.#last.then(() => this.#carryOut(request));
    this.#last = answered.catch(() => undefined);
    return answered;
  }

  /** Not while a request is under way. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  async #carryOut(request: Request): Promise<readonly Reply[]> {
    invariant(!this.#closed, 'a closed netlink socket is asked nothing');
    this.#sequence += 1;
    await this.#send(encodeRequest(request, this.#sequence));
    const replies: Reply[] = [];
    for (;;) {
      for (const answer of decodeAnswers(this.#receive())) {
        if (answer.sequence !== this.#sequence) continue;
        if (answer.kind === 'message') replies.push(answer);
        else if (answer.errno === 0) return replies;
        else throw systemError('a netlink request', answer.errno);
      }
    }
  }

  #send(message: Buffer): Promise<void> {
    const { send, errno } = this.#native;
    return new Promise((resolve, reject) => {
      send.async(this.#fd, message, message.length, 0, (error: unknown, sent: number) => {
        // koffi has this call's errno here, first of all, and nowhere else.
        const number = errno();
        if (error !== null) reject(error);
        else if (sent < 0) reject(systemError('send', number));
        else resolve();
      });
    });
  }

  #receive(): Buffer {
    const { receive, errno } = this.#native;
    const flags = MSG_DONTWAIT | MSG_TRUNC;
    for (;;) {
      const length = receive(this.#fd, this.#buffer, this.#buffer.length, flags);
      if (length >= 0) {
        invariant(length <= this.#buffer.length, 'an answer of the kernel fits into the buffer');
        // A copy, since the next answer comes into the same buffer.
        return Buffer.from(this.#buffer.subarray(0, length));
      }
      const number = errno();
      if (number !== constants.errno.EINTR) throw systemError('recv', number);
    }
  }
}
