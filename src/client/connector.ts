import type { Clock } from '../clock.js';
import { DstError } from '../errors.js';
import { CONNECT_TIMEOUT_MS, WELCOME_PATIENCE_MS } from '../limits.js';
import { type Dial, type DialRequest, Link } from './link.js';
import { SessionIdentity } from './session-identity.js';

export interface ConnectorOptions {
  readonly dial: Dial;
  readonly exportName: string;
  readonly checksums: readonly string[];
  readonly readOnly: boolean;
  readonly takeover?: boolean;
  readonly identity?: SessionIdentity;
  readonly pingIntervalMs: number;
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
  #welcomed = false;
  #greetedMs: number | undefined;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#identity = options.identity ?? new SessionIdentity();
  }

  /** Of the last HELLO: a link of a lower one is fenced, or about to be. */
  get epoch(): number {
    return this.#identity.epoch;
  }

  /**
   * Dials and is welcomed. Aborting the request ends it only until its HELLO goes out: the
   * export fences the older link then, so that the new one is wanted.
   */
  async open(request: DialRequest): Promise<Link> {
    const { clock, dial, exportName, checksums, readOnly, takeover, pingIntervalMs } =
      this.#options;
    const connection = await dial(request);
    const nowMs = clock.nowMs();
    const early = this.#greetedMs !== undefined && nowMs - this.#greetedMs < WELCOME_PATIENCE_MS;
    if (request.signal.aborted || this.#closing.signal.aborted || early) {
      connection.close('it is not wanted any more');
      throw new DstError('DST_E_ABORTED', 'another attempt to connect came before');
    }
    this.#greetedMs = nowMs;
    try {
      const link = await Link.greet(
        connection,
        {
          intent: 'attach',
          exportName,
          session: this.#identity.id,
          epoch: this.#identity.nextEpoch(),
          checksums,
          readOnly,
          resuming: this.#welcomed,
          // Once: a session that was fenced itself must not fence whoever did it.
          takeover: takeover === true && !this.#welcomed,
        },
        { clock, pingIntervalMs, timeoutMs: CONNECT_TIMEOUT_MS, signal: this.#closing.signal },
      );
      this.#welcomed = true;
      return link;
    } finally {
      if (this.#greetedMs === nowMs) this.#greetedMs = undefined;
    }
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort();
  }
}
