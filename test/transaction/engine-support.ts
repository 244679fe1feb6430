import { payloadOf } from '../../src/block/payload.js';
import type { ReplyFrame } from '../../src/protocol/frame.js';
import { NO_CHECKSUM, NO_PIECES } from '../../src/protocol/frame.js';
import { FLAG, KIND } from '../../src/protocol/kinds.js';
import type { Credit } from '../../src/protocol/messages.js';
import type { Command, Transmit } from '../../src/transaction/command.js';
import { type EngineOptions, TransactionEngine } from '../../src/transaction/engine.js';

export interface NamedCommand extends Command {
  /** Of a command that the engine made on its own account: -1. */
  readonly name: number;
}

export type Engine = TransactionEngine<NamedCommand>;

export const PLENTY: Credit = { transactions: 512, bytes: 1 << 30, window: 1 << 20 };
export const RESEND_TIMEOUT_MS = 5_000;
export const OWN = -1;

export function newEngine(options: Partial<EngineOptions<NamedCommand>> = {}): Engine {
  return new TransactionEngine<NamedCommand>({
    resendTimeoutMs: RESEND_TIMEOUT_MS,
    maxResends: 3,
    replayBufferBytes: 0,
    own: (command) => ({ ...command, name: OWN }),
    ...options,
  });
}

/** An engine with a connection, at time 0. */
export function connectedEngine(
  options: Partial<EngineOptions<NamedCommand>> & { credit?: Partial<Credit> } = {},
): Engine {
  const { credit, ...rest } = options;
  const engine = newEngine(rest);
  engine.handleConnected({ ...PLENTY, ...credit }, false, 0);
  return engine;
}

/** Counts so many bytes of credit, changes nothing, and so never waits for another. */
export function command(name: number, creditBytes = 0): NamedCommand {
  return {
    name,
    kind: KIND.cache,
    flags: 0,
    offset: 0,
    lengthBytes: creditBytes,
    creditBytes,
    payload: undefined,
  };
}

/** A write of `text` at an offset. */
export function writeOf(
  name: number,
  offset: number,
  text: string,
  options: { fua?: boolean } = {},
): NamedCommand {
  const payload = payloadOf([Buffer.from(text)]);
  const { lengthBytes } = payload;
  const flags = options.fua ? FLAG.fua : 0;
  return {
    name,
    kind: KIND.write,
    flags,
    offset,
    lengthBytes,
    creditBytes: lengthBytes,
    payload,
  };
}

/** A change without a payload. */
export function trimOf(name: number, offset: number, lengthBytes: number): NamedCommand {
  return { ...command(name), kind: KIND.trim, offset, lengthBytes };
}

export function flushOf(name: number): NamedCommand {
  return { ...command(name), kind: KIND.flush };
}

export function textOf({ payload }: Command): string {
  return Buffer.concat((payload?.pieces ?? []) as Buffer[]).toString();
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

export function failed(transaction: number): ReplyFrame {
  return { ...done(transaction), kind: KIND.failed, errno: 5 };
}

/** Answers what was sent, on the slot that it was sent on. */
export function answer(
  engine: Engine,
  sent: Transmit<NamedCommand> | undefined,
  nowMs = 0,
  reply = done,
): void {
  if (sent === undefined) throw new Error('nothing was sent that could be answered');
  engine.handleReply(sent.slot, reply(sent.transaction), nowMs);
}

/** Everything that the engine wants to send now. */
export function transmits(engine: Engine, nowMs = 0, batches = false): Transmit<NamedCommand>[] {
  const found: Transmit<NamedCommand>[] = [];
  for (;;) {
    const next = engine.pollTransmit(nowMs, batches);
    if (next === undefined) return found;
    found.push(next);
  }
}

/** Answers everything that goes out until nothing does; the callers' commands that went. */
export function settle(engine: Engine, nowMs = 0): number[] {
  const sent: number[] = [];
  for (;;) {
    const next = transmits(engine, nowMs);
    if (next.length === 0) return sent;
    for (const each of next) answer(engine, each, nowMs);
    sent.push(...names(next));
  }
}

export const names = (list: readonly { command: NamedCommand }[]) =>
  list.map((each) => each.command.name);

/** The names of the commands that have ended since the last call. */
export const ended = (engine: Engine) => names(engine.takeCompletions());

/** Carries the commands out, one after the other. */
export function run(engine: Engine, ...commands: NamedCommand[]): void {
  for (const each of commands) {
    engine.submit(each, 0);
    settle(engine);
  }
  engine.takeCompletions();
}

export const kinds = (list: readonly { command: { kind: number } }[]) =>
  list.map((each) => each.command.kind);
