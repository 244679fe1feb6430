import type { Command } from './command.js';
import type { Kept } from './slab-queue.js';

/** A command on its way through the engine, which alone changes it. */
export interface Transaction<C extends Command> {
  readonly command: C;
  readonly origin: 'caller' | 'replay' | 'flush';
  /** The log's copy of the payload, until the log takes it back. */
  kept: Kept | undefined;
  /** 0 before it is sent for the first time, or for the first time after a replay. */
  id: number;
  sent: boolean;
  /** Whether it waits to be sent, for the first time or again. */
  queued: boolean;
  /** Copies that are on their way on this connection; `sentMs` is the first one's time. */
  copies: number;
  ended: boolean;
  resends: number;
  sentMs: number;
  resendAtMs: number;
  suspectAtMs: number;
  /** Of a flush: it covers the entries of the log before this position. */
  covers: number;
}

export function newTransaction<C extends Command>(
  command: C,
  origin: Transaction<C>['origin'],
  resendAtMs: number,
): Transaction<C> {
  return {
    command,
    origin,
    kept: undefined,
    id: 0,
    sent: false,
    queued: true,
    copies: 0,
    ended: false,
    resends: 0,
    sentMs: 0,
    resendAtMs,
    suspectAtMs: 0,
    covers: 0,
  };
}
