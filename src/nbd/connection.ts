import type { Socket } from 'node:net';
import type { BufferPool } from '../block/buffer-pool.js';
import { NBD_HANDSHAKE_TIMEOUT_MS } from '../limits.js';
import type { Log } from '../log.js';
import type { FailureLog } from './failure-log.js';
import type { InFlight } from './in-flight.js';
import type { Incoming, Taker } from './incoming.js';
import { type ExportOffer, Negotiation, type Outcome } from './negotiation.js';
import { greeting } from './option-replies.js';
import { ReplyWriter } from './reply-writer.js';
import type { Session } from './session.js';
import { type Link, Transmission } from './transmission.js';

export interface ConnectionOptions {
  readonly incoming: Incoming;
  readonly offer: ExportOffer;
  readonly shared: InFlight;
  /** What writes' payloads are received into. */
  readonly pool: BufferPool;
  readonly failures: FailureLog;
  readonly log: Log;
  readonly onClose: () => void;
}

/**
 * One client: its socket, and the two phases that it goes through.
 *
 * ```
 *   handshake --GO--> transmission --DISC, EOF or drain()--> stopped --answered--> closed
 *       |                  |
 *       +------------------+--- protocol broken, deadline, socket error --------> closed
 * ```
 */
export class Connection implements Link, Taker {
  readonly #socket: Socket;
  readonly #offer: ExportOffer;
  readonly #shared: InFlight;
  readonly #pool: BufferPool;
  readonly #failures: FailureLog;
  readonly #log: Log;
  readonly #writer: ReplyWriter;
  readonly #negotiation: Negotiation;
  readonly #deadline: NodeJS.Timeout;
  /** Once the handshake is over. */
  #transmission: Transmission | undefined;
  #ended = false;

  constructor(options: ConnectionOptions) {
    this.#socket = options.incoming.socket;
    this.#offer = options.offer;
    this.#shared = options.shared;
    this.#pool = options.pool;
    this.#failures = options.failures;
    this.#log = options.log;
    this.#writer = new ReplyWriter(this.#socket);
    this.#negotiation = new Negotiation(this.#offer);
    this.#deadline = setTimeout(
      () => this.drop(`no end of the handshake in ${NBD_HANDSHAKE_TIMEOUT_MS} ms`),
      NBD_HANDSHAKE_TIMEOUT_MS,
    );
    options.incoming.deliverTo(this);
    this.#socket.on('drain', () => this.#transmission?.proceed());
    this.#socket.on('end', () => this.#end());
    this.#socket.on('error', (error) => this.#log.debug({ err: error }, 'an NBD client broke off'));
    this.#socket.on('close', () => {
      this.#closed();
      options.onClose();
    });
    this.#socket.write(greeting());
  }

  /** The client sends no more: it waits for answers, or it is gone. Which, nobody can tell. */
  get ended(): boolean {
    return this.#ended;
  }

  get room(): Buffer | undefined {
    return this.#transmission?.room;
  }

  filled(lengthBytes: number): void {
    this.#transmission?.filled(lengthBytes);
  }

  receive(chunk: Buffer): void {
    if (this.#transmission !== undefined) this.#transmission.receive(chunk);
    // Options may be split between chunks, and what is behind the last is kept.
    else this.#negotiate(Buffer.from(chunk));
  }

  /** Ends a client that is not through its handshake; others stay. */
  turnAway(): void {
    if (this.#transmission === undefined) this.#socket.destroy();
  }

  /** Takes no more commands and closes once those in flight are answered. */
  drain(): void {
    if (this.#transmission === undefined) {
      this.#socket.destroy();
      return;
    }
    this.#socket.pause();
    this.#transmission.stop();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  drop(reason: string): void {
    this.#log.info(`an NBD client was disconnected: ${reason}`);
    this.#socket.destroy();
  }

  finished(): void {
    this.#writer.flush();
    this.#socket.destroySoon();
  }

  #negotiate(chunk: Buffer): void {
    const { replies, outcome } = this.#negotiation.push(chunk);
    this.#socket.cork();
    for (const reply of replies) this.#socket.write(reply);
    this.#socket.uncork();
    this.#follow(outcome);
  }

  #follow(outcome: Outcome): void {
    if (outcome.kind === 'drop') this.drop(outcome.reason);
    else if (outcome.kind === 'end') this.#socket.destroySoon();
    else if (outcome.kind === 'ready') this.#transmit(outcome.session, outcome.rest);
  }

  #transmit(session: Session, rest: Buffer): void {
    clearTimeout(this.#deadline);
    this.#log.debug({ session }, 'an NBD client is ready');
    this.#transmission = new Transmission({
      device: this.#offer.device,
      session,
      shared: this.#shared,
      writer: this.#writer,
      pool: this.#pool,
      link: this,
      failures: this.#failures,
      log: this.#log,
    });
    if (rest.length > 0) this.#transmission.receive(rest);
  }

  /** The client sends no more; it may yet read the answers to what it sent. */
  #end(): void {
    this.#ended = true;
    if (this.#transmission === undefined) this.#socket.destroy();
    else this.#transmission.stop();
  }

  #closed(): void {
    clearTimeout(this.#deadline);
    this.#transmission?.abandon();
    this.#writer.closed();
  }
}
