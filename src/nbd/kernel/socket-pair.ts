import { closeSync } from 'node:fs';
import type { KoffiFunc } from 'koffi';
import { systemError } from '../../block/system-error.js';
import { KERNEL_SOCKET_BUFFER_BYTES } from '../../limits.js';
import { socketOptions } from '../../socket-options.js';
import { type Incoming, incomingOn } from '../incoming.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
/** Goes beyond net.core.wmem_max; for CAP_NET_ADMIN only. */
const SO_SNDBUFFORCE = 32;

/** Two ends of one connection: the kernel's is a file descriptor, ours a socket of Node's. */
export interface SocketPair {
  /** The caller closes it once the kernel has it, which keeps an opening of its own. */
  readonly kernelFd: number;
  /** The descriptor of our end, which stays the socket's. */
  readonly ownFd: number;
  readonly incoming: Incoming;
}

interface Native {
  readonly errno: () => number;
  readonly socketpair: KoffiFunc<
    (domain: number, type: number, protocol: number, ends: Int32Array) => number
  >;
}

let bound: Promise<Native> | undefined;

async function bind(): Promise<Native> {
  const koffi = await import('koffi');
  const libc = koffi.load(null);
  return {
    errno: () => koffi.errno(),
    socketpair: libc.func('int socketpair(int domain, int type, int protocol, _Out_ int *ends)'),
  };
}

/**
 * Makes a connected pair of Unix stream sockets, with buffers that hold a large command, one
 * end of which is for the kernel's NBD driver. Rejects with a Node system error.
 */
export async function socketPair(): Promise<SocketPair> {
  // Once: a connection that the kernel gives up is replaced time and again in an outage.
  bound ??= bind();
  const { errno, socketpair } = await bound;
  const options = await socketOptions();
  const ends = new Int32Array(2);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
    throw systemError('socketpair', errno());
  }
  const [ownFd = -1, kernelFd = -1] = ends;
  for (const fd of [ownFd, kernelFd]) {
    const set = (name: number) => options.set(fd, SOL_SOCKET, name, KERNEL_SOCKET_BUFFER_BYTES);
    // Smaller buffers only make it slower.
    if (!set(SO_SNDBUFFORCE)) set(SO_SNDBUF);
  }
  try {
    return { kernelFd, ownFd, incoming: incomingOn(ownFd) };
  } catch (error) {
    closeSync(ownFd);
    closeSync(kernelFd);
    throw error;
  }
}
