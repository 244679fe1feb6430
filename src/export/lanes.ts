import type { Peer } from './peer.js';

/** The connections that a session has now, all of one epoch, by their numbers. */
export class Lanes {
  readonly #peers = new Map<number, Peer>();
  #heardMs = Number.NEGATIVE_INFINITY;

  get count(): number {
    return this.#peers.size;
  }

  get peers(): Peer[] {
    return [...this.#peers.values()];
  }

  has(peer: Peer): boolean {
    return this.peers.includes(peer);
  }

  /** When something came last on a lane that has ended. */
  get heardMs(): number {
    return this.#heardMs;
  }

  heard(atMs: number): void {
    this.#heardMs = Math.max(this.#heardMs, atMs);
  }

  /** Adds a lane; number 0 begins an epoch. Returns those that have to give way to it. */
  put(lane: number, peer: Peer): Peer[] {
    const same = this.#peers.get(lane);
    const older = lane === 0 ? this.peers : same === undefined ? [] : [same];
    if (lane === 0) this.#peers.clear();
    this.#peers.set(lane, peer);
    return older;
  }

  /** False where it is none of these. */
  delete(peer: Peer): boolean {
    for (const [lane, each] of this.#peers) {
      if (each === peer) return this.#peers.delete(lane);
    }
    return false;
  }

  clear(): void {
    this.#peers.clear();
  }
}
