import type { Clock } from '../clock.js';
import { REFUSAL_LOG_INTERVAL_MS, VISITORS_REMEMBERED_MAX } from '../limits.js';
import { readAddress, siteOf } from './address.js';

const MINUTE_MS = 60_000;

/** What is remembered of a site. Its tokens are those that it had at `countedMs`. */
interface Visitor {
  tokens: number;
  countedMs: number;
  toldMs: number;
}

/**
 * How often each address may connect: a token bucket for every IPv4 address and IPv6 /64, which
 * holds a minute's worth. The table is bounded: of too many addresses the one that has been
 * away the longest is forgotten, and begins with a full bucket.
 */
export class RateLimit {
  readonly #perMinute: number;
  readonly #clock: Clock;
  /** The one that came last at the end. */
  readonly #visitors = new Map<string, Visitor>();

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  get remembered(): number {
    return this.#visitors.size;
  }

  /** Takes one token; false, with nothing taken, where there is none. */
  take(address: string): boolean {
    const visitor = this.#visit(address);
    if (visitor.tokens < 1) return false;
    visitor.tokens -= 1;
    return true;
  }

  /**
   * Takes so many tokens at once, and leaves a debt where there are fewer; false, with nothing
   * taken, where there is a debt. So none is larger than one charge, nor than a minute's worth:
   * whoever shares the address is never shut out for longer.
   */
  charge(address: string, tokens: number): boolean {
    const visitor = this.#visit(address);
    if (visitor.tokens < 0) return false;
    visitor.tokens -= Math.min(tokens, this.#perMinute);
    return true;
  }

  /** Gives back what a charge of so many tokens took; the next visit cuts off what is too much. */
  refund(address: string, tokens: number): void {
    this.#visit(address).tokens += Math.min(tokens, this.#perMinute);
  }

  /** Whether to log something about an address: once in REFUSAL_LOG_INTERVAL_MS. */
  mayTell(address: string): boolean {
    const visitor = this.#visit(address);
    const nowMs = this.#clock.nowMs();
    if (nowMs - visitor.toldMs < REFUSAL_LOG_INTERVAL_MS) return false;
    visitor.toldMs = nowMs;
    return true;
  }

  #visit(text: string): Visitor {
    const address = readAddress(text);
    const site = address === undefined ? text : siteOf(address);
    const nowMs = this.#clock.nowMs();
    const visitor = this.#visitors.get(site) ?? {
      tokens: this.#perMinute,
      countedMs: nowMs,
      toldMs: Number.NEGATIVE_INFINITY,
    };
    const earned = ((nowMs - visitor.countedMs) * this.#perMinute) / MINUTE_MS;
    visitor.tokens = Math.min(this.#perMinute, visitor.tokens + earned);
    visitor.countedMs = nowMs;
    this.#visitors.delete(site);
    this.#visitors.set(site, visitor);
    if (this.#visitors.size > VISITORS_REMEMBERED_MAX) this.#forgetOldest();
    return visitor;
  }

  #forgetOldest(): void {
    for (const oldest of this.#visitors.keys()) {
      this.#visitors.delete(oldest);
      return;
    }
  }
}
