import { randomBytes } from 'node:crypto';
import { type ChecksumName, chooseChecksum, loadChecksum } from '../../wasm/checksums.js';
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
import { type Admission, Peer, type PeerHost } from './peer.js';
import { ExportSession } from './session.js';
import { describeStore, type Store } from './store.js';

export interface ExportServerOptions {
  readonly stores: readonly Store[];
  /** Checksums that clients may choose, best first. */
  readonly checksums: readonly ChecksumName[];
  readonly log: Log;
}

interface Held {
  readonly session: ExportSession;
  peer: Peer | undefined;
  lease: NodeJS.Timeout | undefined;
}

/**
 * The export: its stores, who is connected, and the sessions that outlive connections. It
 * takes connections of any transport; `attach` as many listeners as there are addresses.
 */
export class ExportServer implements PeerHost {
  readonly log: Log;
  readonly #options: ExportServerOptions;
  readonly #listeners: Listener[] = [];
  readonly #peers = new Set<Peer>();
  readonly #sessions = new Map<string, Held>();
  #draining = false;

  constructor(options: ExportServerOptions) {
    this.#options = options;
    this.log = options.log;
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
    for (const peer of this.#peers) peer.notify({ event: 'going away' });
    const settled = Promise.all([...this.#sessions.values()].map((held) => held.session.settled()));
    if (!(await within(settled, graceMs))) {
      this.log.warn(
        { graceMs },
        'commands in flight did not end in time; clients will resend them',
      );
    }
    for (const held of this.#sessions.values()) clearTimeout(held.lease);
    this.#sessions.clear();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    for (const peer of this.#peers) peer.connection.close('the export is going away');
    for (const { device } of this.#options.stores) {
      if (!device.capabilities.readOnly) await device.flush();
      await device.close();
    }
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
    this.#peers.delete(peer);
    for (const [key, held] of this.#sessions) {
      if (held.peer !== peer) continue;
      held.peer = undefined;
      this.log.info({ peer: peer.connection.peer, export: held.session.store.name }, 'client gone');
      held.lease = setTimeout(() => this.#sessions.delete(key), SESSION_LEASE_MS);
      held.lease.unref();
    }
  }

  // ---- Inside --------------------------------------------------------------------------

  #onConnection(connection: Connection): void {
    if (this.#peers.size >= CONNECTIONS_MAX) {
      this.log.warn({ peer: connection.peer }, `more than ${CONNECTIONS_MAX} connections: refused`);
      connection.close('too many connections');
      return;
    }
    this.#peers.add(new Peer(connection, this));
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
      held = { session: new ExportSession(store, readOnly), peer: undefined, lease: undefined };
      this.#sessions.set(key, held);
    }
    const advanced = held.session.advance(hello.epoch);
    clearTimeout(held.lease);
    const older = held.peer;
    held.peer = peer;
    older?.dismiss({ code: 'DST_E_FENCED', message: 'a newer connection has taken over' });
    await advanced;
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

/** Whether a promise settles within a time. */
async function within(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  const settled = promise.then(() => true as const);
  const result = await Promise.race([settled, timeout]);
  clearTimeout(timer);
  return result;
}
