import type { ReplyFrame } from '../../src/protocol/frame.js';
import { NO_CHECKSUM, NO_PIECES } from '../../src/protocol/frame.js';
import { KIND } from '../../src/protocol/kinds.js';
import type { Credit } from '../../src/protocol/messages.js';
import type { Command, Completion, Transmit } from '../../src/transaction/command.js';
import type { TransactionEngine } from '../../src/transaction/engine.js';

export interface NamedCommand extends Command {
  readonly name: number;
}

export const PLENTY: Credit = { transactions: 512, bytes: 1 << 30, window: 1 << 20 };

/** A write of so many bytes, known by a number. */
export function command(name: number, creditBytes = 0): NamedCommand {
  return {
    name,
    kind: KIND.write,
    flags: 0,
    offset: 0,
    lengthBytes: creditBytes,
    creditBytes,
    payload: undefined,
  };
}

export function done(transaction: number): ReplyFrame {
  return {
    kind: KIND.done,
    transaction,
    errno: 0,
    checksum: NO_CHECKSUM,
    payload: NO_PIECES,
    payloadBytes: 0,
  };
}

/** Everything that the engine wants to send now. */
export function transmits(
  engine: TransactionEngine<NamedCommand>,
  nowMs = 0,
): Transmit<NamedCommand>[] {
  const found: Transmit<NamedCommand>[] = [];
  for (;;) {
    const next = engine.pollTransmit(nowMs);
    if (next === undefined) return found;
    found.push(next);
  }
}

/** Every command that has ended since the last call. */
export function completions(engine: TransactionEngine<NamedCommand>): Completion<NamedCommand>[] {
  const found: Completion<NamedCommand>[] = [];
  for (;;) {
    const next = engine.pollCompletion();
    if (next === undefined) return found;
    found.push(next);
  }
}
