import type { Payload } from '../block/payload.js';
import { DstError } from '../errors.js';
import type { ReplyFrame, RequestKind } from '../protocol/frame.js';
import { KIND } from '../protocol/kinds.js';

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
  /** What a write writes; unchanged until the completion, or until the engine has put a copy
   * of its own in its place. */
  payload: Payload | undefined;
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

/** Whether it changes what the device holds. */
export function changes(command: Command): boolean {
  const { kind } = command;
  return kind === KIND.write || kind === KIND.trim || kind === KIND.writeZeroes;
}

/**
 * Whether a reply is one that its command can have. One that is not comes of a peer, or of a
 * line, that mixes things up: what it says of the command is not to be believed.
 */
export function isAnswerTo(command: Command, reply: ReplyFrame): boolean {
  if (reply.kind === KIND.failed) return true;
  switch (command.kind) {
    case KIND.read:
      return reply.kind === KIND.data && reply.payloadBytes === command.lengthBytes;
    case KIND.hash:
      return reply.kind === KIND.data;
    case KIND.blockStatus:
      return reply.kind === KIND.extents;
    default:
      return reply.kind === KIND.done;
  }
}

/** The error of a command that went unanswered each time that it was sent. */
export function unanswered(maxResends: number): DstError {
  return new DstError(
    'DST_E_RESENDS',
    `the export did not answer after ${maxResends} resends; check it and the network`,
    { errno: 'EIO' },
  );
}
