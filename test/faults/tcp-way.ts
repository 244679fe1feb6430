/**
 * One way of one TCP connection, as its receiver finds it: everything in order, and late where
 * something was lost, by the time that TCP needs to send it again.
 */
import type { LinkCounters, LinkFaults } from './relay.js';

/** What a sender waits for an ack, beside the round trip; doubled each time (Linux, RFC 6298). */
const RETRANSMIT_MS_MIN = 200;
const RETRANSMIT_MS_MAX = 120_000;

/** The same for a request to connect. */
export const CONNECT_RETRANSMIT_MS = 1_000;

/** What fits an Ethernet frame beside the headers of IPv4 and TCP. */
const SEGMENT_BYTES = 1448;

/** The state of the link, which all connections share. */
export interface Line {
  readonly faults: LinkFaults;
  readonly counters: LinkCounters;
  readonly random: () => number;
}

export interface Parcel {
  readonly lengthBytes: number;
  /** Called when it arrives. */
  deliver(): void;
}

interface Travelling extends Parcel {
  dueMs: number;
  /** It was lost, so that what is due is another copy. */
  missing: boolean;
  retransmitMs: number;
}

export class TcpWay {
  readonly #line: Line;
  readonly #queue: Travelling[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #queuedBytes = 0;

  constructor(line: Line) {
    this.#line = line;
  }

  /** Sent, and not yet arrived. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** `trips` is for what takes its sender more than one way. */
  send(parcel: Parcel, { retransmitMs = RETRANSMIT_MS_MIN, trips = 1 } = {}): void {
    if (this.#closed) return;
    const { delayMs, jitterMs } = this.#line.faults;
    const wayMs = trips * delayMs + (this.#line.random() * 2 - 1) * jitterMs;
    const missing = this.#loses(Math.ceil(parcel.lengthBytes / SEGMENT_BYTES));
    this.#queuedBytes += parcel.lengthBytes;
    this.#queue.push({
      ...parcel,
      missing,
      dueMs: performance.now() + wayMs + (missing ? retransmitMs + 2 * delayMs : 0),
      retransmitMs,
    });
    if (this.#queue.length === 1) this.#deliver();
  }

  /** Nothing arrives any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#queuedBytes = 0;
  }

  /** Delivers what is due, from the head on: what is behind a loss waits for it. */
  #deliver(): void {
    for (;;) {
      const [head] = this.#queue;
      if (head === undefined) return;
      const nowMs = performance.now();
      if (head.dueMs <= nowMs && head.missing && this.#loses(1)) {
        head.retransmitMs = Math.min(2 * head.retransmitMs, RETRANSMIT_MS_MAX);
        head.dueMs = nowMs + head.retransmitMs;
      }
      if (head.dueMs > nowMs) {
        this.#timer = setTimeout(() => this.#deliver(), head.dueMs - nowMs);
        return;
      }
      this.#line.counters.passed++;
      // Before it leaves the queue: what it makes others send must wait for its turn.
      head.deliver();
      if (this.#closed) return;
      this.#queuedBytes -= head.lengthBytes;
      this.#queue.shift();
    }
  }

  /** Whether any of so many segments, sent now, is lost. */
  #loses(segments: number): boolean {
    const { faults, counters, random } = this.#line;
    if (faults.down) {
      counters.cut++;
      return true;
    }
    if (random() >= 1 - (1 - faults.lossShare) ** segments) return false;
    counters.lost++;
    return true;
  }
}
