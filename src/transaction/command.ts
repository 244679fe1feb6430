import type { Payload } from '../block/payload.js';
import type { ReplyFrame, RequestKind } from '../protocol/frame.js';

/**
 * A block command as the engine sees it: small enough to be one transaction. The caller
 * keeps the object and finds it again in the completion.
 */
export interface Command {
  readonly kind: RequestKind;
  readonly flags: number;
  readonly offset: number;
  readonly lengthBytes: number;
  /** Bytes that count against credit: those written, or those that the reply will hold. */
  readonly creditBytes: number;
  /** What a write writes; unchanged until the completion. */
  readonly payload: Payload | undefined;
}

/** The end of a command: the export's reply, or the error that stands in its place. */
export interface Completion<C extends Command> {
  readonly command: C;
  readonly reply: ReplyFrame | undefined;
  readonly error: Error | undefined;
}

/** What to send now, and on which stream slot of the current connection. */
export interface Transmit<C extends Command> {
  readonly command: C;
  readonly transaction: number;
  readonly retired: number;
  readonly slot: number;
}
