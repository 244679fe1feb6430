import { type ChecksumName, chooseChecksum } from '../../wasm/checksums.js';
import type { Gate } from '../access/gate.js';
import type { Permission } from '../access/permission.js';
import type { Secret } from '../access/secret.js';
import { loadSessionChecksum } from '../access/session-checksum.js';
import { type Clock, systemClock } from '../clock.js';
import { DstError } from '../errors.js';
import {
  CONNECTIONS_MAX,
  CREDIT_BYTES,
  LANES_MAX,
  REFUSAL_LOG_INTERVAL_MS,
  SESSION_LEASE_MS,
  SESSIONS_MAX_DEFAULT,
  SHUTDOWN_FLUSH_TIMEOUT_MS,
  STORE_NAME_BYTES_MAX,
} from '../limits.js';
import type { Log } from '../log.js';
import { PROTOCOL_VERSION } from '../protocol/kinds.js';
import type { Failure, Hello } from '../protocol/messages.js';
import type { Connection, Listener } from '../transport/transport.js';
import { resolvesWithin } from '../within.js';
import { Peer } from './peer.js';
import type { Admission, PeerHost } from './peer-host.js';
import type { SessionRules } from './session.js';
import { Sessions } from './sessions.js';
import { closeStore, flushStore, type Store } from './store.js';
import { turnAway } from './turn-away.js';
import { composeWelcome } from './welcome.js';

type Door = Pick<Gate, 'decide' | 'chargeProof' | 'refundProof' | 'mayTell'>;

const OPEN_DOOR: Door = {
  decide: () => ({ kind: 'admitted', permission: 'rw' }),
  chargeProof: () => true,
  refundProof() {},
  mayTell: () => true,
};

const GOING_AWAY: Failure = { code: 'DST_E_GOING_AWAY', message: 'the export is going away' };

export interface ExportServerOptions {
  readonly stores: readonly Store[];
  /** Checksums that clients may choose, best first. */
  readonly checksums: readonly ChecksumName[];
  /** What every client must prove to hold; checksums are keyed by it. */
  readonly secret?: Secret | undefined;
  /** Who may connect, and to do what; without one everybody may, to read and write. */
  readonly gate?: Door;
  /** Sessions at once, those that wait for their client to come back among them. */
  readonly sessionsMax?: number;
  /** Lanes that a session may have, from 1 to LANES_MAX; that many unless given. */
  readonly lanesMax?: number;
  readonly log: Log;
  readonly clock?: Clock;
  /** How long a session, and its claim to write, outlive its last connection, ms. */
  readonly leaseMs?: number;
  /** Any number of clients may write to a store at once. */
  readonly shared?: boolean;
  readonly rules?: SessionRules;
}

/**
 * The export: its stores, who is connected, and the sessions that outlive connections. It
 * takes connections of any transport; `attach` as many listeners as there are addresses.
 */
export class ExportServer implements PeerHost {
  readonly log: Log;
  readonly clock: Clock;
  readonly #options: ExportServerOptions;
  readonly #gate: Door;
  readonly #listeners: Listener[] = [];
  /** Every connection that is heard, and what its client may do. */
  readonly #peers = new Map<Peer, Permission>();
  /** Those that are only told that they may not be here. */
  readonly #turnedAway = new Set<Connection>();
  readonly #sessions: Sessions;
  #draining = false;
  #damagedWrites = 0;
  /** When the log said last that the export is full. */
  #toldFullMs = Number.NEGATIVE_INFINITY;

  constructor(options: ExportServerOptions) {
    this.#options = options;
    this.#gate = options.gate ?? OPEN_DOOR;
    this.log = options.log;
    this.clock = options.clock ?? systemClock;
    this.#sessions = new Sessions({
      log: this.log,
      clock: this.clock,
      leaseMs: options.leaseMs ?? SESSION_LEASE_MS,
      shared: options.shared ?? false,
      sessionsMax: options.sessionsMax ?? SESSIONS_MAX_DEFAULT,
      lanesMax: options.lanesMax ?? LANES_MAX,
      rules: options.rules,
    });
  }

  get secret(): Secret | undefined {
    return this.#options.secret;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get connections(): number {
    return this.#peers.size + this.#turnedAway.size;
  }

  get sessions(): number {
    return this.#sessions.count;
  }

  /** Lanes that a session may have. */
  get lanesMax(): number {
    return this.#sessions.lanesMax;
  }

  /**
   * Lets sessions have so many lanes, from 1 to LANES_MAX. Clients are told: those that have more
   * give them up once nothing is in flight on them, and those that want more make them.
   */
  limitLanes(lanesMax: number): void {
    this.#sessions.lanesMax = lanesMax;
    for (const peer of this.#peers.keys()) peer.notify({ event: 'lanes', lanes: lanesMax });
  }

  /** Writes that failed their checksums, and were refused for their clients to send again. */
  get damagedWrites(): number {
    return this.#damagedWrites;
  }

  attach(listener: Listener): void {
    this.#listeners.push(listener);
    listener.onConnection((connection) => this.#onConnection(connection));
  }

  /**
   * Looks at the sizes of all stores again, and tells the clients that are attached to one
   * which has grown or shrunk. A store that cannot be looked at keeps the size that it had.
   */
  async reread(): Promise<void> {
    await Promise.all(this.#options.stores.map((store) => this.#rereadStore(store)));
  }

  /**
   * Ends the export: no new commands; those in progress complete or are given `graceMs`;
   * every store is flushed and closed, within SHUTDOWN_FLUSH_TIMEOUT_MS each. Commands that
   * came too late stay unanswered, for their client to send again. Rejects when a store
   * could not be flushed and closed (DST_E_SHUTDOWN_TIMEOUT where it took too long).
   *
   * Clients are dismissed after the flush, since those of a store that it failed for must be
   * told. The kernel drops what it could not write: the next process of this boot has the
   * same verifier, its flushes succeed, and nothing else says that acked writes are gone.
   */
  async shutdown(graceMs: number): Promise<void> {
    this.#draining = true;
    for (const peer of this.#peers.keys()) peer.notify({ event: 'going away' });
    if (!(await resolvesWithin(this.#sessions.settled(), graceMs, this.clock))) {
      this.log.warn(
        { graceMs },
        'commands in flight did not end in time; clients will resend them',
      );
    }
    // The last answers go out at the end of the turn, and before the word that this is the end.
    await new Promise<void>((resolve) => this.clock.endOfTurn(resolve));
    const deadlineMs = this.clock.nowMs() + SHUTDOWN_FLUSH_TIMEOUT_MS;
    const failures = await this.#forEachStore((store) => flushStore(store, deadlineMs, this.clock));
    await this.#dismissAll(new Set(failures.keys()));
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    const closing = await this.#forEachStore((store) => closeStore(store, deadlineMs, this.clock));
    for (const [, failure] of [...failures, ...closing]) throw failure;
  }

  // ---- PeerHost ------------------------------------------------------------------------

  chargeProof(peer: Peer): boolean {
    return this.#gate.chargeProof(peer.connection);
  }

  refundProof(peer: Peer): void {
    this.#gate.refundProof(peer.connection);
  }

  mayTell(peer: Peer): boolean {
    return this.#gate.mayTell(peer.connection);
  }

  async admit(peer: Peer, hello: Hello): Promise<Admission> {
    if (hello.version !== PROTOCOL_VERSION) {
      throw new DstError(
        'DST_E_VERSION',
        `the export speaks version ${PROTOCOL_VERSION} and the client ${hello.version}; update the older`,
      );
    }
    const checksum = await loadSessionChecksum(
      chooseChecksum(hello.checksums, this.#options.checksums),
      this.secret,
      hello.session,
      hello.export,
    );
    const store = hello.intent === 'list' ? undefined : this.#findStore(hello.export);
    if (this.#draining) {
      throw new DstError('DST_E_GOING_AWAY', 'the export is shutting down; try again later');
    }
    // A session that a connection joins after its end would wait for that end for ever.
    if (!peer.deciding) {
      throw new DstError('DST_E_CONNECTION_LOST', 'the connection ended before its WELCOME');
    }
    const attaches = hello.intent === 'attach' && store !== undefined;
    const permission = this.#peers.get(peer) ?? 'ro';
    const session = attaches
      ? await this.#sessions.join(peer, hello, store, permission)
      : undefined;
    const readOnly = session?.readOnly ?? (hello.readOnly || permission === 'ro');
    const facts = { ...this.#options, checksum: checksum.name, store, readOnly };
    return {
      session,
      checksum,
      welcome: () => {
        // Who only asks has nothing in flight.
        const creditBytes = session?.credit.bytesMax ?? CREDIT_BYTES;
        return composeWelcome(hello, { ...facts, creditBytes, lanesMax: this.lanesMax });
      },
    };
  }

  leave(peer: Peer): void {
    void this.#sessions.leave(peer);
  }

  gone(peer: Peer): void {
    this.#peers.delete(peer);
    this.#sessions.gone(peer);
  }

  countDamaged(): void {
    this.#damagedWrites++;
  }

  // ---- Inside --------------------------------------------------------------------------

  #onConnection(connection: Connection): void {
    const decision = this.#gate.decide(connection);
    if (decision.kind !== 'dropped' && this.connections >= CONNECTIONS_MAX) {
      this.#tellFull(connection);
      connection.close('too many connections');
      return;
    }
    switch (decision.kind) {
      case 'admitted': {
        const peer = new Peer(connection, this);
        // Before it begins, as it ends at once where its connection already has.
        this.#peers.set(peer, decision.permission);
        peer.begin();
        break;
      }
      case 'refused':
        this.#turnedAway.add(connection);
        connection.onClose(() => this.#turnedAway.delete(connection));
        turnAway(connection, decision.failure, this.clock);
        break;
      case 'dropped':
        connection.close(decision.reason);
    }
  }

  /** Whoever fills the export comes from any number of addresses: the log says so now and then. */
  #tellFull({ peer }: Connection): void {
    const nowMs = this.clock.nowMs();
    if (nowMs - this.#toldFullMs < REFUSAL_LOG_INTERVAL_MS) return;
    this.#toldFullMs = nowMs;
    this.log.warn({ peer }, `more than ${CONNECTIONS_MAX} connections: refused`);
  }

  async #rereadStore(store: Store): Promise<void> {
    const { name, device } = store;
    const beforeBytes = device.geometry.sizeBytes;
    try {
      await device.reread();
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      this.log.warn({ export: name, code: error.code }, `size not changed: ${error.message}`);
      return;
    }
    const { sizeBytes } = device.geometry;
    if (sizeBytes === beforeBytes) return;
    this.log.info({ export: name, beforeBytes, sizeBytes }, 'resized');
    for (const peer of this.#sessions.attachedTo(store)) {
      peer.notify({ event: 'resized', sizeBytes });
    }
  }

  /**
   * Tells every client that the export ends, and those of stores that could not be flushed
   * that acked writes may be lost. Waits for them to hang up: answers that are on their way
   * would be lost with a connection that is closed at once.
   */
  async #dismissAll(lost: ReadonlySet<Store>): Promise<void> {
    this.#sessions.clear();
    const hangUps = [...this.#peers.keys()].map((peer) => {
      const hungUp = new Promise<void>((resolve) => peer.connection.onClose(() => resolve()));
      const store = peer.session?.store;
      peer.dismiss(store !== undefined && lost.has(store) ? flushLost(store) : GOING_AWAY);
      return hungUp;
    });
    await Promise.all(hangUps);
    for (const { connection } of this.#peers.keys()) connection.close(GOING_AWAY.message);
    for (const connection of this.#turnedAway) connection.close(GOING_AWAY.message);
  }

  /** Does this for every store, even past a failure; returns what failed. */
  async #forEachStore(action: (store: Store) => Promise<void>): Promise<Map<Store, unknown>> {
    const failures = new Map<Store, unknown>();
    const each = this.#options.stores.map(async (store) => {
      try {
        await action(store);
      } catch (error) {
        failures.set(store, error);
      }
    });
    await Promise.all(each);
    return failures;
  }

  #findStore(name: string): Store {
    const { stores } = this.#options;
    const found = stores.find((store) => store.name === name);
    if (found !== undefined) return found;
    const names = stores.map((store) => `"${store.name}"`).join(', ');
    throw new DstError(
      'DST_E_EXPORT_UNKNOWN',
      `there is no export named "${name.slice(0, STORE_NAME_BYTES_MAX)}" here; those that are: ${names}`,
    );
  }
}

function flushLost({ name }: Store): Failure {
  const message = `the last flush of export "${name}" failed: what was not flushed before may be lost`;
  return { code: 'DST_E_FLUSH_LOST', message };
}
