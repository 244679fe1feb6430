import type { Socket } from 'node:net';
import { WEBTRANSPORT_OPENING_MAX, WEBTRANSPORT_OPENING_TIMEOUT_MS } from '../../limits.js';

/**
 * The TCP connections of a listener that have not become WebTransport connections yet. Each
 * has a time, and there is a bound on them all: past it the oldest gives way.
 */
export class OpeningSockets {
  /** By peer, oldest first: TLS and HTTP/2 wrap a socket, and its peer is what they share. */
  readonly #byPeer = new Map<string, { socket: Socket; timer: NodeJS.Timeout }>();
  readonly #limits: { readonly max: number; readonly timeoutMs: number };

  constructor(
    limits = { max: WEBTRANSPORT_OPENING_MAX, timeoutMs: WEBTRANSPORT_OPENING_TIMEOUT_MS },
  ) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#byPeer.size;
  }

  add(socket: Socket): void {
    const peer = peerKey(socket);
    const timer = setTimeout(() => socket.destroy(), this.#limits.timeoutMs).unref();
    this.#byPeer.set(peer, { socket, timer });
    socket.once('close', () => {
      clearTimeout(timer);
      if (this.#byPeer.get(peer)?.socket === socket) this.#byPeer.delete(peer);
    });
    if (this.#byPeer.size <= this.#limits.max) return;
    const [oldest] = this.#byPeer.values();
    oldest?.socket.destroy();
    const [oldestPeer] = this.#byPeer.keys();
    if (oldestPeer !== undefined) this.#byPeer.delete(oldestPeer);
  }

  /** The socket that lies below another. */
  below(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): Socket | undefined {
    return this.#byPeer.get(peerKey(socket))?.socket;
  }

  /** It has become a connection, which has limits of its own. */
  opened(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    const peer = peerKey(socket);
    clearTimeout(this.#byPeer.get(peer)?.timer);
    this.#byPeer.delete(peer);
  }

  destroyAll(): void {
    for (const { socket } of this.#byPeer.values()) socket.destroy();
  }
}

function peerKey({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>) {
  return `${remoteAddress} ${remotePort}`;
}
