import type { BufferPool } from '../block/buffer-pool.js';
import type { BlockDevice, Extent } from '../block/device.js';
import type { Payload } from '../block/payload.js';
import { DstError, errnoOf, invariant } from '../errors.js';
import {
  NBD_CLIENT_BYTES_IN_FLIGHT_MAX,
  NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX,
  NBD_EXTENTS_MAX,
  NBD_REPLY_QUEUE_BYTES_MAX,
  NBD_SKIPPED_PAYLOAD_BYTES_MAX,
} from '../limits.js';
import type { Log } from '../log.js';
import { payloadBytes, runCommand, wrongLength } from './commands.js';
import { NBD_CMD_BLOCK_STATUS, NBD_CMD_DISC, NBD_CMD_READ, NBD_CMD_WRITE } from './constants.js';
import type { FailureLog } from './failure-log.js';
import { InFlight } from './in-flight.js';
import type { Taker } from './incoming.js';
import { ALLOCATION_CONTEXT_ID } from './negotiation.js';
import { clipExtents } from './replies.js';
import type { ReplyWriter } from './reply-writer.js';
import { type Request, type RequestHandler, RequestParser, type Verdict } from './request.js';
import type { Session } from './session.js';
import { type Refusal, refusalOf } from './validate.js';

/** What the transmission phase needs of the connection that it runs on. */
export interface Link {
  /** No more bytes, please, until `resume`. */
  pause(): void;
  resume(): void;
  /** The client broke the protocol in a way that no reply can mend. */
  drop(reason: string): void;
  /** After `stop`: every command is answered. */
  finished(): void;
}

export interface TransmissionOptions {
  readonly device: BlockDevice;
  readonly session: Session;
  /** Bounds what this client has in flight; the bridge's bound for one unless given. */
  readonly own?: InFlight;
  /** What all clients of the bridge have in flight. */
  readonly shared: InFlight;
  readonly writer: ReplyWriter;
  /** What writes' payloads are received into. */
  readonly pool: BufferPool;
  readonly link: Link;
  /**
   * Whether the client is gone already, though some of what it sent is still to be read. Asked
   * before any of that is executed, in the same turn of the event loop.
   */
  readonly hungUp?: () => boolean;
  /** Runs commands that are answered without data; straight on the device unless given. */
  readonly run?: typeof runCommand;
  readonly failures: FailureLog;
  readonly log: Log;
}

const NO_BYTES = Buffer.alloc(0);

/**
 * The transmission phase of one client: requests in, commands on the device, replies out.
 *
 * A command is in flight, in its client's count and in the bridge's, from its header
 * until its reply is on its way; a read or a block status until the kernel has its data,
 * since until then its buffers are held. That bounds memory: at either bound nothing more is
 * read from the client, who then waits on his socket, as he does while he leaves his replies
 * unread.
 */
export class Transmission implements RequestHandler, Taker {
  readonly #device: BlockDevice;
  readonly #session: Session;
  readonly #own: InFlight;
  #shared: InFlight;
  readonly #writer: ReplyWriter;
  readonly #link: Link;
  readonly #hungUp: () => boolean;
  readonly #run: typeof runCommand;
  readonly #failures: FailureLog;
  readonly #log: Log;
  readonly #parser: RequestParser;
  /** Received, but behind a request that waits for room. */
  #rest: Buffer = NO_BYTES;
  /** Why the request whose payload is being skipped is refused. */
  #refusal: Refusal | undefined;
  #stopped = false;
  #disconnected = false;
  #dead = false;

  constructor(options: TransmissionOptions) {
    this.#device = options.device;
    this.#session = options.session;
    this.#own =
      options.own ??
      new InFlight(NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX, NBD_CLIENT_BYTES_IN_FLIGHT_MAX);
    this.#shared = options.shared;
    this.#parser = new RequestParser(this, options.pool);
    this.#writer = options.writer;
    this.#link = options.link;
    this.#hungUp = options.hungUp ?? (() => false);
    this.#run = options.run ?? runCommand;
    this.#failures = options.failures;
    this.#log = options.log;
  }

  /** The client has said NBD_CMD_DISC. */
  get disconnected(): boolean {
    return this.#disconnected;
  }

  get room(): Buffer | undefined {
    return this.#stopped ? undefined : this.#parser.room;
  }

  filled(lengthBytes: number): void {
    if (this.#stopped) return;
    this.#lookForHangUp();
    this.#parser.filled(lengthBytes);
  }

  receive(chunk: Buffer): void {
    invariant(!this.#parser.waiting, 'a paused socket delivers nothing');
    if (this.#stopped) return;
    this.#lookForHangUp();
    const consumed = this.#parser.push(chunk);
    if (!this.#parser.waiting) return;
    this.#rest = chunk.subarray(consumed);
    this.#link.pause();
  }

  /** Tries again after a bound was reached; does nothing where none was. */
  readonly proceed = (): void => {
    if (!this.#parser.waiting || this.#stopped) return;
    this.#lookForHangUp();
    const consumed = this.#parser.push(this.#rest);
    this.#rest = this.#rest.subarray(consumed);
    if (!this.#parser.waiting) this.#link.resume();
  };

  /** Takes no more requests; `link.finished` follows once those in flight are answered. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#rest = NO_BYTES;
    this.#own.forget(this.proceed);
    this.#shared.forget(this.proceed);
    const partial = this.#parser.collecting;
    // A write that did not arrive whole never reaches the device.
    if (partial !== undefined) this.#leave(partial);
    else if (this.#own.commands === 0) this.#link.finished();
  }

  /** The client is gone: commands in flight end with nobody to tell. */
  abandon(): void {
    this.#dead = true;
    this.stop();
  }

  /**
   * The client is gone, though some of what it sent may still be to be read. What it has in
   * flight counts against another bound than the shared one from now on, where that has room.
   */
  leaveBehind(room: InFlight): void {
    this.#dead = true;
    this.proceed();
    const { bytes, commands } = this.#own;
    if (this.#shared.handOver(room, bytes, commands)) this.#shared = room;
  }

  judge(request: Request): Verdict {
    if (request.command === NBD_CMD_DISC) {
      this.#disconnected = true;
      this.stop();
      return 'end';
    }
    if (this.#dead) return 'discard';
    // The socket's 'drain' leads to `proceed`.
    if (this.#writer.backlogBytes > NBD_REPLY_QUEUE_BYTES_MAX) return 'wait';
    const refusal = refusalOf(request, this.#session);
    if (refusal !== undefined) return this.#judgeRefused(request, refusal);
    const bytes = payloadBytes(request);
    if (!hasRoom(this.#own, bytes, this.proceed)) return 'wait';
    if (!hasRoom(this.#shared, bytes, this.proceed)) return 'wait';
    this.#own.enter(bytes);
    this.#shared.enter(bytes);
    return 'take';
  }

  execute(request: Request, payload: Payload): void {
    if (this.#dead) {
      this.#leave(request);
      return;
    }
    try {
      this.#start(request, payload);
    } catch (error) {
      this.#failed(request, error);
    }
  }

  refuse(request: Request): void {
    if (this.#dead) return;
    const refusal = this.#refusal;
    invariant(refusal !== undefined, 'a refused request has a refusal');
    this.#log.debug({ errno: refusal.errno }, `refused: ${refusal.message}`);
    this.#replyFailure(request, refusal);
  }

  garbage(what: string): void {
    this.#link.drop(what);
  }

  /**
   * Of what is left to be read of a client that is gone nothing is executed: it may have sent
   * it anew elsewhere, and written something newer since. But NBD_CMD_DISC still counts.
   */
  #lookForHangUp(): void {
    if (!this.#dead) this.#dead = this.#hungUp();
  }

  #judgeRefused(request: Request, refusal: Refusal): Verdict {
    if (request.command === NBD_CMD_WRITE && request.lengthBytes > NBD_SKIPPED_PAYLOAD_BYTES_MAX) {
      this.#link.drop(`a write of ${request.lengthBytes} bytes`);
      return 'end';
    }
    this.#refusal = refusal;
    return 'discard';
  }

  #start(request: Request, payload: Payload): void {
    const { command, offset, lengthBytes } = request;
    const failed = (error: unknown) => this.#failed(request, error);
    if (command === NBD_CMD_READ) {
      this.#device.read(offset, lengthBytes).then((data) => this.#haveRead(request, data), failed);
    } else if (command === NBD_CMD_BLOCK_STATUS) {
      this.#device
        .blockStatus(offset, lengthBytes)
        .then((extents) => this.#haveStatus(request, extents), failed);
    } else {
      this.#run(this.#device, request, payload).then(
        () => this.#succeeded(request, payload),
        failed,
      );
    }
  }

  /** Of one that failed a copy may still be on its way: its payload is not used again. */
  #succeeded(request: Request, payload: Payload): void {
    payload.release();
    if (!this.#dead) {
      this.#writer.batch.success(request);
      this.#writer.added();
    }
    this.#leave(request);
  }

  #haveRead(request: Request, payload: Payload): void {
    const done = () => {
      payload.release();
      this.#leave(request);
    };
    if (this.#dead) {
      done();
      return;
    }
    if (payload.lengthBytes !== request.lengthBytes) {
      payload.release();
      this.#failed(request, wrongLength(this.#device, request, payload.lengthBytes));
      return;
    }
    if (this.#session.structuredReplies) this.#writer.batch.structuredRead(request, payload);
    else this.#writer.batch.read(request, payload);
    this.#writer.added(done);
  }

  #haveStatus(request: Request, extents: readonly Extent[]): void {
    const clipped = clipExtents(extents, request, this.#session.sizeBytes, NBD_EXTENTS_MAX);
    if (clipped.length === 0) {
      this.#failed(request, wrongLength(this.#device, request, 0));
      return;
    }
    if (this.#dead) {
      this.#leave(request);
      return;
    }
    this.#writer.batch.blockStatus(request, ALLOCATION_CONTEXT_ID, clipped);
    this.#writer.added(() => this.#leave(request));
  }

  #failed(request: Request, error: unknown): void {
    const errno = errnoOf(error);
    const message = error instanceof DstError ? error.message : 'the device failed';
    this.#failures.failed(request, error);
    this.#replyFailure(request, { errno, message });
    this.#leave(request);
  }

  #replyFailure(request: Request, { errno, message }: Refusal): void {
    if (this.#dead) return;
    if (this.#session.structuredReplies) {
      this.#writer.batch.structuredFailure(request, errno, message);
    } else {
      this.#writer.batch.failure(request, errno);
    }
    this.#writer.added();
  }

  #leave(request: Request): void {
    const bytes = payloadBytes(request);
    this.#own.leave(bytes);
    this.#shared.leave(bytes);
    if (this.#stopped && this.#own.commands === 0) this.#link.finished();
  }
}

function hasRoom(inFlight: InFlight, bytes: number, wake: () => void): boolean {
  if (inFlight.hasRoom(bytes)) return true;
  inFlight.wait(wake);
  return false;
}
