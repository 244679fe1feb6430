import type { Kind } from './kinds.js';
import { KIND } from './kinds.js';

/** A block command, from the client to the export. */
export interface RequestFrame {
  readonly kind: RequestKind;
  readonly transaction: number;
  readonly flags: number;
  /** Every transaction below this one has ended at the client: the export may forget it. */
  readonly retired: number;
  readonly offset: number;
  readonly lengthBytes: number;
  /** Digest of the payload (write only); empty where the agreed checksum is "none". */
  readonly checksum: Buffer;
  readonly payload: readonly Buffer[];
}

/** The end of a transaction, from the export to the client. */
export interface ReplyFrame {
  readonly kind: ReplyKind;
  readonly transaction: number;
  /** NBD errno (failed only), else 0. */
  readonly errno: number;
  /** Digest of the payload (data and extents). */
  readonly checksum: Buffer;
  readonly payload: readonly Buffer[];
  readonly payloadBytes: number;
}

/** What travels on the control stream; `body` is a msgpack map; some have none. */
export interface ControlFrame {
  readonly kind: ControlKind;
  /** Echoed by a pong. */
  readonly sequence: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export type Frame = RequestFrame | ReplyFrame | ControlFrame;

export type RequestKind =
  | typeof KIND.read
  | typeof KIND.write
  | typeof KIND.flush
  | typeof KIND.trim
  | typeof KIND.writeZeroes
  | typeof KIND.blockStatus
  | typeof KIND.cache
  | typeof KIND.hash;

export type ReplyKind =
  | typeof KIND.done
  | typeof KIND.data
  | typeof KIND.extents
  | typeof KIND.failed;

export type ControlKind =
  | typeof KIND.hello
  | typeof KIND.welcome
  | typeof KIND.refused
  | typeof KIND.ping
  | typeof KIND.pong
  | typeof KIND.notice
  | typeof KIND.leave
  | typeof KIND.challenge
  | typeof KIND.proof;

export const NO_CHECKSUM: Buffer = Buffer.alloc(0);
export const NO_PIECES: readonly Buffer[] = [];

export function isRequest(frame: Frame): frame is RequestFrame {
  return frame.kind >= KIND.read && frame.kind <= KIND.hash;
}

export function isReply(frame: Frame): frame is ReplyFrame {
  return frame.kind >= KIND.done && frame.kind <= KIND.failed;
}

export function isControl(frame: Frame): frame is ControlFrame {
  return frame.kind < KIND.read;
}

const NAME_BY_KIND = new Map<number, string>(
  Object.entries(KIND).map(([name, value]) => [value, name]),
);

/** The name of a kind, for logs and messages. */
export function kindName(kind: Kind | number): string {
  return NAME_BY_KIND.get(kind) ?? `unknown kind ${kind}`;
}
