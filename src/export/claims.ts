/**
 * Who may write to each store: one session at a time, from its first HELLO until its lease
 * has lapsed, it has left, or another has taken over.
 *
 * The last claim of a store is remembered past its end. A session that comes back after its
 * lease has lapsed still has changes to send that were meant for the content it knew: they
 * may land only if nobody else has written since. Where the store can keep it, the last
 * claim is remembered past the end of the process too.
 */
import { DstError } from '../errors.js';
import { TAKEN_OVER_SESSIONS_MAX } from '../limits.js';
import type { PeerAddress } from '../transport/transport.js';
import type { SavedClaim, Store } from './store.js';

export interface Claimant {
  /** Of the session. */
  readonly key: string;
  readonly address: PeerAddress;
  /** The session has been welcomed before: it belongs to what it knew, or nowhere. */
  readonly resuming: boolean;
  /** It wants to write in place of whoever does now. */
  readonly takeover: boolean;
}

/** A claim that a session was given. */
export interface Taken {
  /** The session from which it was taken over; that one must be fenced. */
  readonly from: string | undefined;
  /** Set where the store was another session's before: to be saved before WELCOME. */
  readonly claim: SavedClaim | undefined;
}

interface Claim {
  readonly key: string;
  readonly since: Date;
  address: PeerAddress;
  held: boolean;
}

export class Claims {
  readonly #last = new Map<Store, Claim>();
  /** The newest last, so that the oldest is the first to be forgotten. */
  readonly #takenOver = new Set<string>();

  /**
   * Claims a store for a session, at once: of two that ask, one gets it.
   *
   * Throws, with nothing changed, DST_E_BUSY where another session holds the claim, and
   * DST_E_TAKEN_OVER where another has claimed the store since this one held it.
   */
  take(store: Store, { key, address, resuming, takeover }: Claimant): Taken {
    const last = this.#lastOf(store);
    if (this.#takenOver.has(key)) throw takenOver(store, last);
    if (last?.key === key) {
      last.address = address;
      last.held = true;
      return { from: undefined, claim: undefined };
    }
    if (last !== undefined && resuming) throw takenOver(store, last);
    if (last?.held && !takeover) throw busy(store, last);
    const since = new Date();
    this.#last.set(store, { key, address, since, held: true });
    const claim = { session: key, since, address };
    if (!last?.held) return { from: undefined, claim };
    this.#remember(last.key);
    return { from: last.key, claim };
  }

  /** Whether no other session has claimed the store since this one did. */
  isLast(store: Store, key: string): boolean {
    return this.#lastOf(store)?.key === key;
  }

  /** The session that may hold the claim has a newer connection, from this address. */
  moved(store: Store, key: string, address: PeerAddress): void {
    const last = this.#last.get(store);
    if (last?.key === key) last.address = address;
  }

  /** The session is over: its store is free for another, or for itself when it comes back. */
  release(store: Store, key: string): void {
    const last = this.#last.get(store);
    if (last?.key === key) last.held = false;
  }

  /** A process that has begun anew knows who wrote last; the claim itself is free. */
  #lastOf(store: Store): Claim | undefined {
    const known = this.#last.get(store);
    if (known !== undefined) return known;
    const saved = store.claimStore?.load();
    if (saved === undefined) return undefined;
    const { session: key, since, address } = saved;
    const last = { key, since, address, held: false };
    this.#last.set(store, last);
    return last;
  }

  #remember(key: string): void {
    this.#takenOver.add(key);
    if (this.#takenOver.size <= TAKEN_OVER_SESSIONS_MAX) return;
    for (const oldest of this.#takenOver) {
      this.#takenOver.delete(oldest);
      return;
    }
  }
}

/** "192.0.2.1:4711", "[2001:db8::1]:4711". */
export function formatPeer({ address, port }: PeerAddress): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function busy(store: Store, { address, since }: Claim): DstError {
  return new DstError(
    'DST_E_BUSY',
    `${formatPeer(address)} writes to export "${store.name}" since ${since.toISOString()}: end that client, attach read-only, or take over`,
  );
}

function takenOver(store: Store, last: Claim | undefined): DstError {
  const who = last === undefined ? 'another client' : formatPeer(last.address);
  const since = last === undefined ? '' : ` since ${last.since.toISOString()}`;
  return new DstError(
    'DST_E_TAKEN_OVER',
    `${who} has written to export "${store.name}"${since} in place of this client: check what is there before attaching anew`,
  );
}
