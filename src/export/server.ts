import { randomBytes } from 'node:crypto';
import { type ChecksumName, chooseChecksum, loadChecksum } from '../../wasm/checksums.js';
import { type Clock, systemClock, type Timer } from '../clock.js';
import { DstError } from '../errors.js';
import {
  CONNECTIONS_MAX,
  CREDIT_BYTES,
  CREDIT_TRANSACTIONS,
  FRAME_PAYLOAD_BYTES_MAX,
  SESSION_LEASE_MS,
  TRANSACTION_WINDOW,
} from '../limits.js';
import type { Log } from '../log.js';
import { PROTOCOL_VERSION } from '../protocol/kinds.js';
import { type Hello, NONCE_BYTES, VERIFIER_BYTES, type Welcome } from '../protocol/messages.js';
import type { Connection, Listener } from '../transport/transport.js';
import { AGENT } from '../version.js';
import { resolvesWithin } from '../within.js';
import { type Admission, Peer, type PeerHost } from './peer.js';
import { ExportSession, type SessionRules } from './session.js';
import { describeStore, type Store } from './store.js';

export interface ExportServerOptions {
  readonly stores: readonly Store[];
  /** Checksums that clients may choose, best first. */
  readonly checksums: readonly ChecksumName[];
  readonly log: Log;
  readonly clock?: Clock;
  /** How long a session, and its claim to write, outlive its last connection, ms. */
  readonly leaseMs?: number;
  /** Any number of clients may write to a store at once. */
  readonly shared?: boolean;
  readonly rules?: SessionRules;
}

/** A session, and the connection that it has now; with none it waits for its lease to end. */
interface Held {
  readonly key: string;
  readonly session: ExportSession;
  peer: Peer | undefined;
  lease: Timer | undefined;
}

/**
 * The export: its stores, who is connected, and the sessions that outlive connections. It
 * takes connections of any transport; `attach` as many listeners as there are addresses.
 */
export class ExportServer implements PeerHost {
  readonly log: Log;
  readonly clock: Clock;
  readonly #options: ExportServerOptions;
  readonly #listeners: Listener[] = [];
  /** Every connection, with the session that it last joined. */
  readonly #peers = new Map<Peer, Held | undefined>();
  readonly #sessions = new Map<string, Held>();
  #draining = false;

  constructor(options: ExportServerOptions) {
    this.#options = options;
    this.log = options.log;
    this.clock = options.clock ?? systemClock;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get connections(): number {
    return this.#peers.size;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  attach(listener: Listener): void {
    this.#listeners.push(listener);
    listener.onConnection((connection) => this.#onConnection(connection));
  }

  /**
   * Ends the export: no new commands; those in progress complete or are given `graceMs`;
   * every store is flushed and closed. Commands that came too late stay unanswered, for
   * their client to send again. Rejects when a flush failed.
   */
  async shutdown(graceMs: number): Promise<void> {
    this.#draining = true;
    for (const peer of this.#peers.keys()) peer.notify({ event: 'going away' });
    const settled = Promise.all([...this.#sessions.values()].map((held) => held.session.settled()));
    if (!(await resolvesWithin(settled, graceMs, this.clock))) {
      this.log.warn(
        { graceMs },
        'commands in flight did not end in time; clients will resend them',
      );
    }
    for (const held of this.#sessions.values()) held.lease?.cancel();
    this.#sessions.clear();
    await this.#dismissAll();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    await this.#closeStores();
  }

  // ---- PeerHost ------------------------------------------------------------------------

  async admit(peer: Peer, hello: Hello): Promise<Admission> {
    if (this.#draining) {
      throw new DstError('DST_E_GOING_AWAY', 'the export is shutting down; try again later');
    }
    if (hello.version !== PROTOCOL_VERSION) {
      throw new DstError(
        'DST_E_VERSION',
        `the export speaks version ${PROTOCOL_VERSION} and the client ${hello.version}; update the older`,
      );
    }
    const checksum = await loadChecksum(chooseChecksum(hello.checksums, this.#options.checksums));
    const store = hello.intent === 'list' ? undefined : this.#findStore(hello.export);
    const session =
      hello.intent === 'attach' && store !== undefined
        ? await this.#joinSession(peer, hello, store)
        : undefined;
    return {
      session,
      checksum,
      welcome: this.#welcome(hello, checksum.name, store, session?.readOnly ?? hello.readOnly),
    };
  }

  gone(peer: Peer): void {
    const held = this.#peers.get(peer);
    this.#peers.delete(peer);
    if (held?.peer !== peer) return;
    held.peer = undefined;
    this.log.info({ peer: peer.connection.peer, export: held.session.store.name }, 'client gone');
    if (!this.#draining) this.#startLease(held);
  }

  // ---- Inside --------------------------------------------------------------------------

  #onConnection(connection: Connection): void {
    if (this.#peers.size >= CONNECTIONS_MAX) {
      this.log.warn({ peer: connection.peer }, `more than ${CONNECTIONS_MAX} connections: refused`);
      connection.close('too many connections');
      return;
    }
    this.#peers.set(new Peer(connection, this), undefined);
  }

  #startLease(held: Held): void {
    const lease = this.clock.after(SESSION_LEASE_MS, async () => {
      // Its client may yet come back, and must then be fenced from what is in progress.
      await held.session.settled();
      if (held.lease === lease) this.#sessions.delete(held.key);
    });
    held.lease = lease;
  }

  /**
   * Tells every client that the export ends, and waits for them to hang up: answers that are
   * on their way would be lost with a connection that is closed at once.
   */
  async #dismissAll(): Promise<void> {
    const reason = { code: 'DST_E_GOING_AWAY', message: 'the export is going away' } as const;
    const hangUps = [...this.#peers.keys()].map((peer) => {
      const hungUp = new Promise<void>((resolve) => peer.connection.onClose(() => resolve()));
      peer.dismiss(reason);
      return hungUp;
    });
    await Promise.all(hangUps);
    for (const peer of this.#peers.keys()) peer.connection.close(reason.message);
  }

  /** Flushes and closes every store, even past a failure; rejects with the first one. */
  async #closeStores(): Promise<void> {
    const results = await Promise.allSettled(
      this.#options.stores.map(async ({ device }) => {
        try {
          if (!device.capabilities.readOnly) await device.flush();
        } finally {
          await device.close();
        }
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #findStore(name: string): Store {
    const { stores } = this.#options;
    const found = stores.find((store) => store.name === name);
    if (found !== undefined) return found;
    const names = stores.map((store) => `"${store.name}"`).join(', ');
    throw new DstError(
      'DST_E_EXPORT_UNKNOWN',
      `there is no export named "${name}" here; those that are: ${names}`,
    );
  }

  /** Finds or makes the session, and fences its older connections. */
  async #joinSession(peer: Peer, hello: Hello, store: Store): Promise<ExportSession> {
    // A connection that ended while its checksum loaded would hold the session for ever.
    if (!this.#peers.has(peer)) {
      throw new DstError('DST_E_CONNECTION_LOST', 'the connection ended before its WELCOME');
    }
    const key = hello.session.toString('hex');
    let held = this.#sessions.get(key);
    if (held !== undefined && held.session.store !== store) {
      throw new DstError(
        'DST_E_SESSION',
        `this session belongs to export "${held.session.store.name}", not "${store.name}"`,
      );
    }
    const resumed = held !== undefined;
    if (held === undefined) {
      const readOnly = hello.readOnly || store.device.capabilities.readOnly;
      const session = new ExportSession(store, readOnly);
      held = { key, session, peer: undefined, lease: undefined };
      this.#sessions.set(key, held);
    }
    const fenced = held.session.advance(hello.epoch);
    held.lease?.cancel();
    held.lease = undefined;
    const older = held.peer;
    held.peer = peer;
    this.#peers.set(peer, held);
    older?.dismiss({ code: 'DST_E_FENCED', message: 'a newer connection has taken over' });
    await fenced;
    this.log.info(
      {
        peer: peer.connection.peer,
        transport: peer.connection.transport,
        export: store.name,
        epoch: hello.epoch,
        agent: hello.agent,
      },
      resumed ? 'client is back' : 'client attached',
    );
    return held.session;
  }

  #welcome(
    hello: Hello,
    checksum: ChecksumName,
    store: Store | undefined,
    readOnly: boolean,
  ): Welcome {
    const { stores, checksums } = this.#options;
    return {
      version: PROTOCOL_VERSION,
      session: hello.session,
      epoch: hello.epoch,
      nonce: randomBytes(NONCE_BYTES),
      checksum,
      checksums,
      export: store === undefined ? undefined : describeStore(store, readOnly),
      exports: hello.intent === 'list' ? stores.map((each) => describeStore(each, false)) : [],
      credit: {
        transactions: CREDIT_TRANSACTIONS,
        bytes: CREDIT_BYTES,
        window: TRANSACTION_WINDOW,
      },
      payloadBytesMax: FRAME_PAYLOAD_BYTES_MAX,
      verifier: store?.device.verifier ?? Buffer.alloc(VERIFIER_BYTES),
      agent: AGENT,
    };
  }
}
