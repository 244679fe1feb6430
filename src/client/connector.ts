import type { Secret } from '../access/secret.js';
import type { Clock } from '../clock.js';
import { DstError } from '../errors.js';
import { CONNECT_TIMEOUT_MS, LEAVE_TIMEOUT_MS, WELCOME_PATIENCE_MS } from '../limits.js';
import type { Connection } from '../transport/transport.js';
import type { Dial, DialRequest } from './dial.js';
import { firstGreeting } from './first-greeting.js';
import { type GreetOptions, greetLane } from './greet.js';
import type { LinkRequest } from './greeting.js';
import type { Lane } from './lane.js';
import { Link } from './link.js';
import { newsOfRefusal } from './refusals.js';
import type { ConnectionNews } from './route/route.js';
import type { SessionIdentity } from './session-identity.js';

export interface ConnectorOptions {
  readonly dial: Dial;
  readonly exportName: string;
  readonly checksums: readonly string[];
  readonly readOnly: boolean;
  readonly takeover?: boolean;
  readonly secret?: Secret | undefined;
  readonly identity: SessionIdentity;
  readonly pingIntervalMs: number;
  /** Told what becomes of each connection that says HELLO. */
  readonly heard?: (connection: Connection, news: ConnectionNews) => void;
  readonly clock: Clock;
}

/**
 * Makes welcomed links of one session. Attempts may overlap while they dial; only one says
 * HELLO at a time, since the export fences every connection of a lower epoch when it hears
 * a higher one.
 */
export class Connector {
  readonly #options: ConnectorOptions;
  readonly #identity: SessionIdentity;
  readonly #closing = new AbortController();
  /** HELLOs that are under way; they never reject. */
  readonly #greetings = new Set<Promise<unknown>>();
  /** The last of them: those before it are outdated, whatever comes of them. */
  #latest: Promise<unknown> | undefined;
  #welcomed: boolean;
  /** Once it was welcomed as a reader a session never writes, whatever it may do elsewhere. */
  #readOnly: boolean;
  #left = false;
  #greetedMs = Number.NEGATIVE_INFINITY;
  #patienceMs = WELCOME_PATIENCE_MS;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#readOnly = options.readOnly;
    this.#identity = options.identity;
    this.#welcomed = options.identity.resumed;
  }

  /** Of the last HELLO: a link of a lower one is fenced, or about to be. */
  get epoch(): number {
    return this.#identity.epoch;
  }

  /** Dials and is welcomed for the first time, before anything else is asked of this. */
  openFirst(): Promise<Link> {
    return firstGreeting(this.#options.dial, (connection, timeoutMs) =>
      this.#track(this.#greet(connection, timeoutMs)),
    );
  }

  /**
   * Dials and is welcomed. Aborting the request ends it only until its HELLO goes out: the
   * export fences the older link then, so that the new one is wanted. `greeted` hears of the
   * connection that says it.
   */
  async open(request: DialRequest, greeted?: (connection: Connection) => void): Promise<Link> {
    const connection = await this.#options.dial(request);
    if (request.signal.aborted || this.#left || this.#mustWait()) {
      connection.close('it is not wanted any more');
      throw aborted();
    }
    greeted?.(connection);
    return this.#track(this.#greet(connection, CONNECT_TIMEOUT_MS));
  }

  /**
   * Dials a further lane for a link, the way that its lane 0 came, and has it join the link's
   * epoch. It fences nothing, so that it may be called beside everything else. Rejects as
   * dialling and `greetLane` do.
   */
  async openLane(link: Link, lane: number, signal: AbortSignal): Promise<Lane> {
    const timeoutMs = CONNECT_TIMEOUT_MS;
    const connection = await this.#options.dial({
      ...{ timeoutMs, signal, attempt: 0 },
      like: link.connection,
    });
    if (signal.aborted || this.#left) {
      connection.close('it is not wanted any more');
      throw aborted();
    }
    const { epoch, checksum } = link.welcome;
    const request = { ...this.#request(epoch, [checksum]), lane };
    return greetLane(connection, request, this.#greetOptions(timeoutMs, signal));
  }

  /**
   * Ends what is under way. A HELLO that may have been heard already is waited for, at most
   * LEAVE_TIMEOUT_MS: the export must be told that its session is over as well.
   */
  async leave(): Promise<void> {
    this.#left = true;
    const timer = this.#options.clock.after(LEAVE_TIMEOUT_MS, () => this.#closing.abort());
    await Promise.all(this.#greetings);
    timer.cancel();
    this.#closing.abort();
  }

  /** Ends what is under way, at once. */
  close(): void {
    this.#left = true;
    this.#closing.abort();
  }

  /** Whether another HELLO is under way that must be given its time. */
  #mustWait(): boolean {
    if (this.#latest === undefined) return false;
    if (this.#options.clock.nowMs() - this.#greetedMs < this.#patienceMs) return true;
    // On a line with a long delay each HELLO would end the one before, for ever.
    this.#patienceMs = Math.min(2 * this.#patienceMs, CONNECT_TIMEOUT_MS);
    return false;
  }

  #track(greeting: Promise<Link>): Promise<Link> {
    const settled = greeting.catch(() => {});
    this.#greetings.add(settled);
    this.#latest = settled;
    void settled.then(() => {
      this.#greetings.delete(settled);
      if (this.#latest === settled) this.#latest = undefined;
    });
    return greeting;
  }

  async #greet(connection: Connection, timeoutMs: number): Promise<Link> {
    this.#greetedMs = this.#options.clock.nowMs();
    const epoch = this.#identity.nextEpoch();
    this.#options.heard?.(connection, 'greeted');
    const greeting = Link.greet(
      connection,
      this.#request(epoch, this.#options.checksums),
      this.#greetOptions(timeoutMs, this.#closing.signal),
    );
    const link = await this.#heard(connection, greeting);
    this.#welcomed = true;
    this.#readOnly ||= link.welcome.export?.readOnly === true;
    if (epoch === this.epoch) this.#patienceMs = WELCOME_PATIENCE_MS;
    if (!this.#left) return link;
    await link.leave();
    throw aborted();
  }

  #request(epoch: number, checksums: readonly string[]): LinkRequest {
    const { exportName, takeover, secret } = this.#options;
    return {
      intent: 'attach',
      exportName,
      session: this.#identity.id,
      epoch,
      checksums,
      readOnly: this.#readOnly,
      resuming: this.#welcomed,
      // Once: a session that was fenced itself must not fence whoever did it.
      takeover: takeover === true && !this.#welcomed,
      secret,
    };
  }

  #greetOptions(timeoutMs: number, signal: AbortSignal): GreetOptions {
    const { clock, pingIntervalMs } = this.#options;
    return { clock, pingIntervalMs, timeoutMs, signal };
  }

  async #heard(connection: Connection, greeting: Promise<Link>): Promise<Link> {
    try {
      const link = await greeting;
      this.#options.heard?.(connection, 'welcomed');
      return link;
    } catch (error) {
      const news = newsOfRefusal(error);
      if (news !== undefined) this.#options.heard?.(connection, news);
      throw error;
    }
  }
}

function aborted(): DstError {
  return new DstError('DST_E_ABORTED', 'this attempt to connect is not wanted any more');
}
