import type { Checksum, ChecksumName } from '../../wasm/checksums.js';
import { DstError } from '../errors.js';
import { encodeRequest } from '../protocol/encode.js';
import { NO_PIECES, type ReplyFrame } from '../protocol/frame.js';
import { decodeMap } from '../protocol/header.js';
import { KIND } from '../protocol/kinds.js';
import { ERRNO_DAMAGED, failureError, readFailure } from '../protocol/messages.js';
import type { Command, Transmit } from '../transaction/command.js';

/** A command of ours, with whoever waits for it. */
export interface PendingCommand extends Command {
  /** Of the payload, by the algorithm of that name; empty before it is first sent. */
  checksum: Buffer;
  checksumName: ChecksumName | undefined;
  resolve(reply: ReplyFrame): void;
  reject(error: Error): void;
}

export function encodeCommand(transmit: Transmit<PendingCommand>, checksum: Checksum): Buffer[] {
  const { command } = transmit;
  // Computed once: a buffer that changes between resends is then noticed by the export. An
  // export that came back may want another algorithm.
  if (command.payload !== undefined && command.checksumName !== checksum.name) {
    command.checksumName = checksum.name;
    command.checksum = checksum.digest(command.payload.pieces);
  }
  return encodeRequest({
    kind: command.kind,
    transaction: transmit.transaction,
    flags: command.flags,
    retired: transmit.retired,
    offset: command.offset,
    lengthBytes: command.lengthBytes,
    checksum: command.checksum,
    payload: command.payload?.pieces ?? NO_PIECES,
  });
}

/** Whether the export found that a payload did not match its checksum. */
export function isDamaged(reply: ReplyFrame): boolean {
  return reply.kind === KIND.failed && reply.errno === ERRNO_DAMAGED;
}

/** What the export's device said, as an error with its errno. */
export function deviceError(reply: ReplyFrame): DstError {
  return failureError(readFailure(readWords(reply)), reply.errno);
}

/** The body of a failed reply; nothing where it is garbage, as the errno says enough. */
function readWords(reply: ReplyFrame): Record<string, unknown> {
  if (reply.payloadBytes === 0) return {};
  try {
    return decodeMap(Buffer.concat(reply.payload as Buffer[]));
  } catch (error) {
    if (!(error instanceof DstError)) throw error;
    return {};
  }
}
