/**
 * The sessions of an export: which connections each has now, its lanes, how long it outlives
 * them, and who is fenced before a newer connection, or another writer, is welcomed.
 *
 *   HELLO ──> joined ──last lane gone───> waiting ──lease lapsed──> over
 *               ^ └──LEAVE, or taken over──────────────────────────> over
 *               └──────────HELLO, higher epoch──┘
 *
 * Every decision on a HELLO is made at once, without waiting in between, so that two that
 * race cannot both win. What is waited for comes after: the commands of those who lost.
 */
import type { Permission } from '../access/permission.js';
import type { Clock, Timer } from '../clock.js';
import { DstError } from '../errors.js';
import { SESSIONS_RESUMED_TIMES } from '../limits.js';
import type { Log } from '../log.js';
import type { Failure, Hello } from '../protocol/messages.js';
import type { Connection } from '../transport/transport.js';
import { describeSubject } from '../trust/certificate-checks.js';
import { Claims, formatPeer } from './claims.js';
import { CreditBudget } from './credit-budget.js';
import { Lanes } from './lanes.js';
import type { Peer } from './peer.js';
import { ALL_RULES, ExportSession, type SessionRules } from './session.js';
import type { Store } from './store.js';

/** Of a certificate's names in the log: how many there are is its authority's affair. */
const NAMES_CHARACTERS_MAX = 300;

export interface SessionsOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** How long a session, and its claim to write, outlive its last connection, ms. */
  readonly leaseMs: number;
  /** Any number of sessions may write to a store at once. */
  readonly shared: boolean;
  /**
   * Sessions at once, those that wait for their client to come back among them; the unknown
   * that resume may be more, up to SESSIONS_RESUMED_TIMES as many.
   */
  readonly sessionsMax: number;
  /** Lanes that a session may have. */
  readonly lanesMax: number;
  readonly rules?: SessionRules | undefined;
}

/** A session, and the lanes that it has now; with none it waits for its lease to end. */
interface Held {
  readonly key: string;
  readonly session: ExportSession;
  readonly lanes: Lanes;
  lease: Timer | undefined;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #rules: SessionRules;
  readonly #held = new Map<string, Held>();
  /** The session that each connection has joined, until the connection ends. */
  readonly #joined = new Map<Peer, Held>();
  /** Lanes that a session may have; those that one has already are left to it. */
  lanesMax: number;
  readonly #claims = new Claims();
  readonly #credits = new CreditBudget();
  /**
   * Resolve once the commands of all have ended from which a store was taken over, and the
   * last claim is saved. Only then may a writer be welcomed.
   */
  readonly #cleared = new Map<Store, Promise<void>>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#rules = options.rules ?? ALL_RULES;
    this.lanesMax = options.lanesMax;
  }

  get count(): number {
    return this.#held.size;
  }

  /** The connections that are attached to a store, or are about to be. */
  attachedTo(store: Store): Peer[] {
    return [...this.#held.values()].flatMap(({ session, lanes }) =>
      session.store === store ? lanes.peers : [],
    );
  }

  /**
   * Finds or makes the session of a HELLO, and fences its older connections and whomever it
   * takes over from; a further lane only joins the epoch that is there. Resolves when the peer
   * may be welcomed. Rejects, with nothing changed, with DST_E_SESSION, DST_E_EPOCH,
   * DST_E_LANES, DST_E_BUSY, DST_E_TAKEN_OVER, DST_E_SESSIONS or DST_E_PERMISSION_LOST.
   */
  async join(
    peer: Peer,
    hello: Hello,
    store: Store,
    permission: Permission,
  ): Promise<ExportSession> {
    const known = this.#find(hello, store);
    const readOnly = hello.readOnly || permission === 'ro' || store.device.capabilities.readOnly;
    if (readOnly && isWriter(hello, known?.session)) throw permissionLost(peer, store);
    if (hello.lane > 0) return this.#joinLane(peer, hello, known);
    const held = known ?? this.#begin(peer, hello, store, readOnly);
    const fenced = held.session.advance(hello.epoch);
    held.session.giveCredit(this.#credits.take(held));
    this.#connect(held, peer, hello);
    await fenced;
    if (!held.session.readOnly) await this.#cleared.get(store);
    if (held.lanes.has(peer)) this.#tellAttached(held, peer, hello, known === undefined);
    return held.session;
  }

  /** The connection has ended: its session waits for another one. */
  gone(peer: Peer): void {
    const held = this.#joined.get(peer);
    this.#joined.delete(peer);
    if (held === undefined || !held.lanes.delete(peer)) return;
    held.lanes.heard(this.#options.clock.nowMs() - peer.silentMs);
    if (held.lanes.count > 0) return;
    this.#giveBackCredit(held);
    this.#tell(held, peer, 'client gone');
    this.#startLease(held);
  }

  /** The client wants nothing more of its session: it ends with the commands in progress. */
  async leave(peer: Peer): Promise<void> {
    const held = this.#joined.get(peer);
    if (held === undefined || !held.lanes.has(peer)) {
      peer.connection.close('left');
      return;
    }
    const lanes = held.lanes.peers;
    await held.session.end();
    if (this.#held.get(held.key) === held) {
      this.#over(held);
      this.#tell(held, peer, 'client left');
    }
    for (const { connection } of lanes) connection.close('left');
  }

  /** Resolves when no command is in progress, of any session or of one that was taken over. */
  async settled(): Promise<void> {
    const settled = [...this.#held.values()].map(({ session }) => session.settled());
    await Promise.all([...settled, ...this.#cleared.values()]);
  }

  /** Forgets every session. */
  clear(): void {
    for (const held of [...this.#held.values()]) this.#over(held);
  }

  // ---- Inside --------------------------------------------------------------------------

  #find(hello: Hello, store: Store): Held | undefined {
    const held = this.#held.get(keyOf(hello));
    if (held !== undefined && held.session.store !== store) {
      throw new DstError(
        'DST_E_SESSION',
        `this session belongs to export "${held.session.store.name}", not "${store.name}"`,
      );
    }
    return held;
  }

  #begin(peer: Peer, hello: Hello, store: Store, readOnly: boolean): Held {
    const key = keyOf(hello);
    if (!this.#hasRoom(hello, store, readOnly)) throw tooMany(this.#options.sessionsMax);
    if (!readOnly && !this.#options.shared) this.#claim(peer, hello, store);
    const session = new ExportSession(store, readOnly, this.#rules);
    const held = { key, session, lanes: new Lanes(), lease: undefined };
    this.#held.set(key, held);
    return held;
  }

  /**
   * Whoever wrote last has room in any case, and so has one in whose favour another ends. Any
   * other can say that it comes back, so that those who do have more room, and not endless.
   */
  #hasRoom(hello: Hello, store: Store, readOnly: boolean): boolean {
    const { sessionsMax, shared } = this.#options;
    this.#endIdleReaders(sessionsMax);
    const count = this.#held.size;
    if (count < sessionsMax) return true;
    if (hello.resuming && count < SESSIONS_RESUMED_TIMES * sessionsMax) return true;
    if (readOnly || shared) return false;
    if (hello.resuming && this.#claims.isLast(store, keyOf(hello))) return true;
    const writes = ({ session }: Held) => session.store === store && !session.readOnly;
    return hello.takeover && [...this.#held.values()].some(writes);
  }

  /**
   * Makes room below `sessionsMax`, as far as it goes, at the cost of readers whose client is
   * away, the oldest first: they lose nothing, since they have no claim and no changes, and are
   * made anew when they come back.
   */
  #endIdleReaders(sessionsMax: number): void {
    for (const held of this.#held.values()) {
      if (this.#held.size < sessionsMax) return;
      const { session, lanes } = held;
      if (session.readOnly && lanes.count === 0 && session.inProgress === 0) this.#over(held);
    }
  }

  #claim(peer: Peer, hello: Hello, store: Store): void {
    const key = keyOf(hello);
    const { resuming, takeover } = hello;
    const address = peer.connection.peer;
    const { from, claim } = this.#claims.take(store, { key, address, resuming, takeover });
    if (claim !== undefined && store.claimStore !== undefined) {
      this.#alsoClear(store, store.claimStore.save(claim));
    }
    const loser = from === undefined ? undefined : this.#held.get(from);
    if (loser === undefined) return;
    this.#options.log.warn(
      { peer: address, export: store.name, from: loser.lanes.peers[0]?.connection.peer },
      'taken over: the client that wrote until now is fenced',
    );
    this.#alsoClear(store, loser.session.end());
    const dismissed = loser.lanes.peers;
    this.#over(loser);
    this.#dismiss(dismissed, {
      code: 'DST_E_TAKEN_OVER',
      message: `${formatPeer(address)} has taken over export "${store.name}": end this client, and check what is there`,
    });
  }

  #alsoClear(store: Store, ended: Promise<void>): void {
    const both = Promise.all([this.#cleared.get(store), ended]);
    // Of nothing, since each keeps its predecessor's results.
    this.#cleared.set(
      store,
      both.then(() => undefined),
    );
  }

  /** What a slow disk still holds of a session that has no lanes counts until the disk is done. */
  #giveBackCredit(held: Held): void {
    void held.session.settled().then(() => {
      if (held.lanes.count === 0) this.#credits.giveBack(held);
    });
  }

  /** Lets a further lane in beside those of its epoch, in place of one with its number. */
  async #joinLane(peer: Peer, hello: Hello, held: Held | undefined): Promise<ExportSession> {
    // With the last lane the epoch's credit went back: who comes again begins another epoch.
    if (held === undefined || held.lanes.count === 0) throw nothingToJoin();
    if (hello.lane >= this.lanesMax) throw tooManyLanes(this.lanesMax);
    const fenced = held.session.join(hello.epoch);
    this.#connect(held, peer, hello);
    await fenced;
    if (!held.session.readOnly) await this.#cleared.get(held.session.store);
    return held.session;
  }

  /** Makes this connection one of the session's lanes: the only one, or the one of its number. */
  #connect(held: Held, peer: Peer, { lane }: Hello): void {
    held.lease?.cancel();
    held.lease = undefined;
    const older = held.lanes.put(lane, peer);
    this.#joined.set(peer, held);
    this.#claims.moved(held.session.store, held.key, peer.connection.peer);
    this.#dismiss(older, { code: 'DST_E_FENCED', message: 'a newer connection has taken over' });
  }

  #dismiss(peers: readonly Peer[], failure: Failure): void {
    // Nothing that a dismissed connection brings is carried out, which is a fence too.
    if (this.#rules.fence) for (const peer of peers) peer.dismiss(failure);
  }

  /** The lease counts from when its client was heard last. */
  #startLease(held: Held): void {
    const { clock, leaseMs, log } = this.#options;
    const silentMs = clock.nowMs() - held.lanes.heardMs;
    const lease = clock.after(Math.max(0, leaseMs - silentMs), async () => {
      // Whoever comes next, its client or another, must be fenced from what is in progress.
      await held.session.fenced();
      if (held.lease !== lease) return;
      this.#over(held);
      log.info(
        { export: held.session.store.name, leaseMs },
        'lease lapsed: its client stayed away',
      );
    });
    held.lease = lease;
  }

  /** From here on connections that it may still have are nobody's, and claim nothing. */
  #over(held: Held): void {
    held.lease?.cancel();
    held.lease = undefined;
    for (const peer of held.lanes.peers) this.#joined.delete(peer);
    held.lanes.clear();
    this.#giveBackCredit(held);
    this.#held.delete(held.key);
    this.#claims.release(held.session.store, held.key);
  }

  #tellAttached({ session }: Held, { connection }: Peer, hello: Hello, isNew: boolean): void {
    const { transport, peer } = connection;
    const { store, readOnly } = session;
    const { epoch, agent, resuming } = hello;
    const client = describeClient(connection);
    this.#options.log.info(
      { peer, transport, export: store.name, epoch, agent, resuming, readOnly, client },
      isNew ? 'client attached' : 'client is back',
    );
  }

  #tell(held: Held, peer: Peer, what: string): void {
    const { store } = held.session;
    this.#options.log.info({ peer: peer.connection.peer, export: store.name }, what);
  }
}

/**
 * Whether the session has been welcomed as a writer, and so may have changes to send. Of one
 * that is not known here the client tells: welcomed as a reader, it says that it only reads.
 */
function isWriter(hello: Hello, known: ExportSession | undefined): boolean {
  return known === undefined ? hello.resuming && !hello.readOnly : !known.readOnly;
}

/** Its changes would fail one by one; refused, it keeps them until it may write again. */
function permissionLost(peer: Peer, store: Store): DstError {
  return new DstError(
    'DST_E_PERMISSION_LOST',
    `this client wrote to export "${store.name}" and now may only read it from ${formatPeer(peer.connection.peer)}: it goes on once it may write again, or end it`,
  );
}

function nothingToJoin(): DstError {
  return new DstError(
    'DST_E_EPOCH',
    'a lane has nothing to join: no connection of its session is here',
  );
}

function tooManyLanes(lanesMax: number): DstError {
  return new DstError(
    'DST_E_LANES',
    `a session may have ${lanesMax} lanes here: give the client fewer, or raise the export's --lanes`,
  );
}

function tooMany(sessionsMax: number): DstError {
  return new DstError(
    'DST_E_SESSIONS',
    `the export has ${sessionsMax} clients, and takes no more: end one of them, or raise its --max-sessions`,
  );
}

/** Who the client is by its certificate; undefined where it was not asked for one. */
function describeClient({ clientCertificate }: Connection): object | undefined {
  if (clientCertificate === undefined) return undefined;
  const names = clientCertificate.subjectAltName?.slice(0, NAMES_CHARACTERS_MAX);
  return { subject: describeSubject(clientCertificate), names };
}

function keyOf(hello: Hello): string {
  return hello.session.toString('hex');
}
