/**
 * Sockets whose bytes are received into buffers of ours. Node gives each read a fresh buffer of
 * 64 KiB unless told otherwise, which is garbage as soon as it is parsed: collecting those cost
 * an eighth of a client's processor time in large writes, and 40 MB.
 */
import { Socket } from 'node:net';
import { NBD_RECEIVE_BYTES } from '../limits.js';

/** Takes what a socket receives. */
export interface Taker {
  /** Where the next bytes are best put; undefined where they are as good anywhere else. */
  readonly room: Buffer | undefined;
  /** So many bytes have been put at the start of `room`. */
  filled(lengthBytes: number): void;
  /** The bytes stay as they are until this returns, or for as long as the socket is paused. */
  receive(chunk: Buffer): void;
}

/** A socket, half open when the other end ends its half; nothing is received before `deliverTo`. */
export interface Incoming {
  readonly socket: Socket;
  /** In the turn in which the socket was made. */
  deliverTo(taker: Taker): void;
}

interface OnRead {
  buffer(): Uint8Array;
  callback(lengthBytes: number, buffer: Uint8Array): boolean;
}

/** Of Node's options; `onread` is documented from version 22 on, and Node 20 takes it as well. */
interface SocketOptions {
  readonly fd?: number;
  /** What Node itself gives to a socket that it accepts; not documented. */
  readonly handle?: object;
  readonly allowHalfOpen: boolean;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly onread: OnRead;
}

/** Wraps a connected socket's descriptor, which is the socket's from then on. */
export function incomingOn(fd: number): Incoming {
  return incoming({ fd });
}

/**
 * Takes over a connection that a server with `pauseOnConnect` accepted: `accepted` is of no use
 * afterwards, and its server has one connection fewer. Node has no documented way to it; one that
 * lacks this way as well gives the socket as it is, and each read its buffer.
 */
export function incomingFrom(accepted: Socket): Incoming {
  const owner = accepted as unknown as { _handle?: { useUserBuffer?: unknown } | null };
  const handle = owner._handle;
  if (handle == null || typeof handle.useUserBuffer !== 'function') return plain(accepted);
  owner._handle = null;
  accepted.destroy();
  return incoming({ handle });
}

function plain(socket: Socket): Incoming {
  return {
    socket,
    deliverTo(taker) {
      socket.on('data', (chunk: Buffer) => taker.receive(chunk));
      socket.resume();
    },
  };
}

function incoming(origin: Pick<SocketOptions, 'fd' | 'handle'>): Incoming {
  const scratch = Buffer.allocUnsafeSlow(NBD_RECEIVE_BYTES);
  let taker: Taker | undefined;
  const options: SocketOptions = {
    ...origin,
    allowHalfOpen: true,
    readable: true,
    writable: true,
    onread: {
      buffer: () => taker?.room ?? scratch,
      callback(lengthBytes, buffer) {
        if (buffer === scratch) taker?.receive(scratch.subarray(0, lengthBytes));
        else taker?.filled(lengthBytes);
        return true;
      },
    },
  };
  return {
    socket: new Socket(options),
    deliverTo(given) {
      taker = given;
    },
  };
}
