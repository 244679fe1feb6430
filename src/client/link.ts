/**
 * What a session reaches its export by: one lane or several, all of one epoch. To the session
 * and its transactions it is one connection, whose slots are spread over the lanes. Where one
 * lane fails the link does: the next one, with a higher epoch, fences all lanes at once.
 */
import type { Checksum, ChecksumName } from '../../wasm/checksums.js';
import { loadSessionChecksum } from '../access/session-checksum.js';
import { DstError, invariant } from '../errors.js';
import { BATCH_ROUND_TRIP_MS_MAX } from '../limits.js';
import type { Welcome } from '../protocol/messages.js';
import type { Connection } from '../transport/transport.js';
import { type GreetOptions, greetLane } from './greet.js';
import type { LinkRequest } from './greeting.js';
import type { Lane, LaneHandlers, Load } from './lane.js';

export class Link {
  /** Of the payloads of all lanes: keyed where there is a secret. */
  readonly checksum: Checksum;
  /** The one that began the epoch; what the export says of all lanes counts where it is said. */
  readonly #first: Lane;
  /** In use, by number; those that are leaving as well. */
  readonly #lanes: Lane[];
  /** Nothing more is sent on these, which end once all is answered. */
  readonly #leaving = new Set<Lane>();
  #handlers: LaneHandlers | undefined;
  #down = false;

  constructor(first: Lane, checksum: Checksum) {
    this.#first = first;
    this.#lanes = [first];
    this.checksum = checksum;
  }

  /** A link of one lane: rejects as `greetLane` does. */
  static async greet(
    connection: Connection,
    request: LinkRequest,
    options: GreetOptions,
  ): Promise<Link> {
    const lane = await greetLane(connection, request, options);
    try {
      const { secret, session, exportName } = request;
      // One of those that we offered, which is checked.
      const name = lane.welcome.checksum as ChecksumName;
      return new Link(lane, await loadSessionChecksum(name, secret, session, exportName));
    } catch (error) {
      lane.close('the checksum cannot be computed');
      throw error;
    }
  }

  /** Of lane 0. */
  get connection(): Connection {
    return this.#first.connection;
  }

  /** Of lane 0. */
  get welcome(): Welcome {
    return this.#first.welcome;
  }

  /** Numbers of the lanes in use, without those that are leaving. */
  get lanes(): readonly number[] {
    return this.#inUse().map(({ number }) => number);
  }

  /** How many those are. */
  get width(): number {
    return this.#lanes.length - this.#leaving.size;
  }

  /** Nothing has been heard on some lane since a ping that is an interval old. */
  get silent(): boolean {
    return this.#lanes.some((lane) => lane.silent);
  }

  /** The shortest seen on lane 0, ms. */
  get roundTripMs(): number {
    return this.#first.roundTripMs;
  }

  /**
   * Whether small transactions should share streams: it halves what each costs, but on a long
   * path a lost packet would hold up all that come after it on its stream.
   */
  get batches(): boolean {
    return this.roundTripMs <= BATCH_ROUND_TRIP_MS_MAX;
  }

  /** Starts deliveries and pings. Call once. */
  start(handlers: LaneHandlers): void {
    invariant(this.#handlers === undefined, 'a link was started twice');
    this.#handlers = handlers;
    this.#startLane(this.#first);
  }

  /**
   * Uses a further lane, which has joined this link's epoch. Throws DST_E_LANES, and closes the
   * lane, where the export gives it less credit than lane 0, within which all lanes stay
   * together. Where it was told anything else than lane 0 the link fails: what it is told of
   * may be another store.
   */
  add(lane: Lane): void {
    invariant(!this.#lanes.some(({ number }) => number === lane.number), 'a lane is there twice');
    if (this.#down) {
      lane.close('its link has ended');
      return;
    }
    const difference = differenceOf(this.welcome, lane.welcome);
    if (difference !== undefined) {
      lane.close('it is not like lane 0');
      this.fail(new DstError('DST_E_LANES', `lane ${lane.number} was told another ${difference}`));
      return;
    }
    if (!hasCreditOf(lane.welcome, this.welcome)) {
      lane.close('its credit is too small');
      throw new DstError('DST_E_LANES', `lane ${lane.number} has less credit than lane 0`);
    }
    // One that was never used is no loss.
    if (lane.down !== undefined) throw lane.down;
    this.#lanes.push(lane);
    this.#startLane(lane);
  }

  /** Keeps lanes with numbers below `count`, 1 at least: the others end once all is answered. */
  keep(count: number): void {
    for (const lane of [...this.#lanes]) {
      if (lane.number < Math.max(1, count)) this.#leaving.delete(lane);
      else {
        this.#leaving.add(lane);
        this.#endIfLeft(lane);
      }
    }
  }

  /** Has the transport ask for a sign of life now: after an outage it resumes the sooner. */
  probe(): void {
    for (const lane of this.#lanes) lane.probe();
  }

  /** Sends the requests of a slot, on the lane that has the least to do. */
  send(slot: number, pieces: readonly Buffer[], load: Load): void {
    if (!this.#down) this.#freest().send(slot, pieces, load);
  }

  /** Measures one round trip on lane 0, ms. Rejects when the link goes down. */
  ping(): Promise<number> {
    return this.#first.ping();
  }

  /** Ends the link because of an error; its handler hears of it. */
  fail(error: DstError): void {
    this.#goDown(error);
  }

  /** Tells the export that the session is over, and ends the link as `Lane.leave` does. */
  async leave(): Promise<void> {
    this.#handlers = undefined;
    await Promise.all(this.#lanes.map((lane) => lane.leave(lane === this.#first)));
    this.close('left');
  }

  /** Ends the link; nobody hears of it. */
  close(reason: string): void {
    this.#handlers = undefined;
    this.#goDown(new DstError('DST_E_CONNECTION_LOST', reason));
  }

  #inUse(): Lane[] {
    return this.#lanes.filter((lane) => !this.#leaving.has(lane));
  }

  #freest(): Lane {
    let freest = this.#first;
    for (const lane of this.#lanes) {
      if (!this.#leaving.has(lane) && hasLessToDo(lane, freest)) freest = lane;
    }
    return freest;
  }

  #startLane(lane: Lane): void {
    const ofFirst = lane === this.#first;
    lane.start({
      onReply: (slot, reply) => {
        this.#handlers?.onReply(slot, reply);
        if (this.#leaving.size > 0) this.#endIfLeft(lane);
      },
      onNotice: (notice) => {
        // Each lane gets those that are not about itself, and they may overtake one another.
        const ofLane = notice.event === 'working' || notice.event === 'closing';
        if (ofFirst || ofLane) this.#handlers?.onNotice(notice);
      },
      onSilence: () => this.#handlers?.onSilence(),
      onHeard: () => this.#handlers?.onHeard(),
      onAlive: () => this.#handlers?.onAlive(),
      onDown: (reason) => this.#goDown(reason),
    });
  }

  #endIfLeft(lane: Lane): void {
    if (!this.#leaving.has(lane) || lane.inFlight > 0) return;
    this.#leaving.delete(lane);
    this.#lanes.splice(this.#lanes.indexOf(lane), 1);
    lane.close('it is one lane too many');
  }

  #goDown(reason: DstError): void {
    if (this.#down) return;
    this.#down = true;
    for (const lane of this.#lanes) lane.close(reason.message);
    this.#handlers?.onDown(reason);
  }
}

function hasLessToDo(lane: Lane, than: Lane): boolean {
  if (lane.inFlightBytes !== than.inFlightBytes) return lane.inFlightBytes < than.inFlightBytes;
  return lane.inFlight < than.inFlight;
}

/** What a lane was told otherwise than lane 0. Its size is left out, as it may just change. */
function differenceOf(first: Welcome, other: Welcome): string | undefined {
  if (!other.verifier.equals(first.verifier)) return 'verifier';
  if (other.checksum !== first.checksum) return 'checksum';
  if (other.export?.readOnly !== first.export?.readOnly) return 'permission';
  if (other.payloadBytesMax < first.payloadBytesMax) return 'limit of a payload';
  return undefined;
}

function hasCreditOf({ credit: own }: Welcome, { credit: first }: Welcome): boolean {
  return own.transactions >= first.transactions && own.bytes >= first.bytes;
}
