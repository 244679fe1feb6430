import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { DstError } from '../errors.js';
import { RESOLVE_PATIENCE_MS, RESOLVED_NAMES_MAX } from '../limits.js';
import { type WaitLimits, waitFor } from './wait-for.js';

/** Asks the name service for a name's addresses, the best first. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/**
 * The addresses of one host. The name service is asked anew for each attempt to connect, as an
 * export may have moved; but an outage often takes the name service along, and a question that
 * was asked then holds a thread for 5 s or more after the link is back. So there is one
 * question at a time, and while it goes unanswered the addresses known from before serve.
 */
export class HostAddresses {
  readonly #host: string;
  readonly #lookup: Lookup;
  readonly #patienceMs: number;
  #known: readonly string[];
  #question: Promise<readonly string[]> | undefined;
  /** The address that the last connection was made to. */
  connected: string | undefined;

  constructor(host: string, lookup: Lookup = askSystem, patienceMs = RESOLVE_PATIENCE_MS) {
    this.#host = host;
    this.#lookup = lookup;
    this.#patienceMs = patienceMs;
    this.#known = isIP(host) === 0 ? [] : [host];
  }

  /** The address that is in use, or would be tried first; undefined before any is known. */
  get current(): string | undefined {
    return this.connected ?? this.#known[0];
  }

  /**
   * Rejects with DST_E_RESOLVE where no address is known, then or from before, and with
   * DST_E_ABORTED.
   */
  async resolve(limits: Pick<WaitLimits, 'timeoutMs' | 'signal'>): Promise<readonly string[]> {
    if (isIP(this.#host) !== 0) return this.#known;
    const patienceMs = this.#known.length === 0 ? Infinity : this.#patienceMs;
    try {
      return await waitFor(this.#ask(), {
        timeoutMs: Math.min(limits.timeoutMs, patienceMs),
        signal: limits.signal,
        late: () => unresolved(this.#host),
      });
    } catch (error) {
      const usable = error instanceof DstError && error.code === 'DST_E_RESOLVE';
      if (usable && this.#known.length > 0) return this.#known;
      throw error;
    }
  }

  #ask(): Promise<readonly string[]> {
    this.#question ??= this.#lookup(this.#host)
      .then(
        (addresses) => {
          this.#known = addresses;
          return addresses;
        },
        (cause) => {
          throw unresolved(this.#host, cause);
        },
      )
      .finally(() => {
        this.#question = undefined;
      });
    return this.#question;
  }
}

const byHost = new Map<string, HostAddresses>();

/** One for each host and process, so that all who dial it and watch the way to it agree. */
export function addressesOf(host: string): HostAddresses {
  const found = byHost.get(host);
  if (found !== undefined) return found;
  if (byHost.size >= RESOLVED_NAMES_MAX) byHost.clear();
  const made = new HostAddresses(host);
  byHost.set(host, made);
  return made;
}

async function askSystem(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
}

function unresolved(host: string, cause?: unknown): DstError {
  return new DstError(
    'DST_E_RESOLVE',
    `the name "${host}" does not resolve: check it, or this machine's name service`,
    { cause },
  );
}
