/**
 * The bodies of control frames (docs/PROTOCOL.md, "Control stream"): what they hold, and
 * readers that trust nothing. Keys that a reader does not know are left alone, so that
 * attributes can be added without a new version.
 */
import type { DstErrorCode, ErrnoName } from '../errors.js';
import { DstError, errnoName, NBD_ERRNO } from '../errors.js';
import {
  CREDIT_TRANSACTIONS,
  DEVICE_BYTES_MAX,
  EXPORT_NAME_BYTES_MAX,
  FAILURE_MESSAGE_CHARACTERS_MAX,
  FRAME_PAYLOAD_BYTES_MAX,
  LANES_MAX,
  PING_INTERVAL_MS_MAX,
} from '../limits.js';
import { printable } from '../printable.js';
import { Fields } from './fields.js';

/** What the client wants: to use an export, to know about one, or to know what there is. */
export type Intent = 'attach' | 'info' | 'list';

const INTENTS = ['attach', 'info', 'list'] as const;

export const SESSION_BYTES = 16;
export const NONCE_BYTES = 32;
export const PROOF_BYTES = 32;
export const VERIFIER_BYTES = 16;
export const AGENT_BYTES_MAX = 128;

/** Ids in one notice that transactions are in progress: as many as the largest credit. */
const WORKING_IDS_MAX = CREDIT_TRANSACTIONS;

export interface Hello {
  readonly version: number;
  readonly intent: Intent;
  /** Empty with intent "list". */
  readonly export: string;
  /** Chosen by the client; outlives connections (16 bytes). */
  readonly session: Buffer;
  /** Higher on each lane 0 of the session; the further lanes have that of theirs. */
  readonly epoch: number;
  /** Of the connections with one epoch: 0 begins it, and the others join it. */
  readonly lane: number;
  /** Challenge to the export (32 bytes). */
  readonly nonce: Buffer;
  /** Checksums that the client accepts. */
  readonly checksums: readonly string[];
  readonly readOnly: boolean;
  /** This session has been welcomed before, by this export or by one that it took over from. */
  readonly resuming: boolean;
  /** Whoever writes to the export now is to be fenced, and this session to write in its place. */
  readonly takeover: boolean;
  /** The client sends something at least so often: silence several times as long is its end. */
  readonly pingIntervalMs: number;
  /** For the export's log: program and version. */
  readonly agent: string;
}

/** What a client learns of one export. */
export interface ExportDescription {
  readonly name: string;
  readonly sizeBytes: number;
  readonly minimumBlockBytes: number;
  readonly preferredBlockBytes: number;
  readonly readOnly: boolean;
  readonly capabilities: readonly Capability[];
}

export const CAPABILITIES = [
  'flush',
  'fua',
  'trim',
  'writeZeroes',
  'fastZero',
  'blockStatus',
  'cache',
  'hash',
  'rotational',
] as const;
export type Capability = (typeof CAPABILITIES)[number];

/** How much a client may have in flight on all lanes of an epoch together. */
export interface Credit {
  readonly transactions: number;
  /** Payload bytes, of writes sent and of reads asked for. */
  readonly bytes: number;
  /** How far a transaction's id may be above the retired mark. */
  readonly window: number;
}

export interface Welcome {
  readonly version: number;
  readonly session: Buffer;
  readonly epoch: number;
  /** The export's own (32 bytes): that of its CHALLENGE, where there was one. */
  readonly nonce: Buffer;
  /** The checksum that both sides use from now on. */
  readonly checksum: string;
  /** What the export accepts. */
  readonly checksums: readonly string[];
  /** The export asked for; none with intent "list". */
  readonly export: ExportDescription | undefined;
  /** All exports; only with intent "list". */
  readonly exports: readonly ExportDescription[];
  readonly credit: Credit;
  /** How many lanes a session may have. */
  readonly lanes: number;
  readonly payloadBytesMax: number;
  /** Changes when the export's volatile cache may be gone (16 bytes). */
  readonly verifier: Buffer;
  readonly agent: string;
  /** That the export holds the shared secret too; only after a CHALLENGE. */
  readonly proof?: Buffer;
}

/** An export that has a shared secret asks for a proof of it before it says anything else. */
export interface Challenge {
  /** The export's (32 bytes), new on each connection. */
  readonly nonce: Buffer;
}

export interface Proof {
  /** See docs/PROTOCOL.md, "CHALLENGE and PROOF" (32 bytes). */
  readonly proof: Buffer;
}

/** A refusal or a notice of the peer's, in its own words. */
export interface Failure {
  readonly code: DstErrorCode;
  readonly message: string;
}

export type Notice =
  | { readonly event: 'resized'; readonly sizeBytes: number }
  | { readonly event: 'going away' }
  /** A session may have so many lanes from now on. */
  | { readonly event: 'lanes'; readonly lanes: number }
  /** These transactions are in progress still: slow storage is not a dead export. */
  | { readonly event: 'working'; readonly transactions: readonly number[] }
  | { readonly event: 'closing'; readonly failure: Failure };

export function helloBody(hello: Hello): Record<string, unknown> {
  const { lane, ...rest } = hello;
  return lane === 0 ? rest : { ...hello };
}

/** Reads a HELLO. Throws DST_E_PROTOCOL where a field is missing or out of range. */
export function readHello(body: Readonly<Record<string, unknown>>): Hello {
  const fields = new Fields('HELLO', body);
  return {
    version: fields.integer('version', 0xffff),
    intent: fields.oneOf('intent', INTENTS),
    export: fields.text('export', EXPORT_NAME_BYTES_MAX),
    session: fields.bytes('session', SESSION_BYTES),
    epoch: fields.integer('epoch', Number.MAX_SAFE_INTEGER),
    lane: fields.has('lane') ? fields.integer('lane', LANES_MAX - 1) : 0,
    nonce: fields.bytes('nonce', NONCE_BYTES),
    checksums: fields.texts('checksums', 32, 32),
    readOnly: fields.flag('readOnly'),
    resuming: fields.flag('resuming'),
    takeover: fields.flag('takeover'),
    pingIntervalMs: fields.positive('pingIntervalMs', PING_INTERVAL_MS_MAX),
    agent: printable(fields.text('agent', AGENT_BYTES_MAX)),
  };
}

export function welcomeBody(welcome: Welcome): Record<string, unknown> {
  const { export: offered, ...rest } = welcome;
  return offered === undefined ? rest : { ...rest, export: offered };
}

/** Reads a WELCOME. Throws DST_E_PROTOCOL where a field is missing or out of range. */
export function readWelcome(body: Readonly<Record<string, unknown>>): Welcome {
  const fields = new Fields('WELCOME', body);
  const credit = fields.map('credit');
  return {
    version: fields.integer('version', 0xffff),
    session: fields.bytes('session', SESSION_BYTES),
    epoch: fields.integer('epoch', Number.MAX_SAFE_INTEGER),
    nonce: fields.bytes('nonce', NONCE_BYTES),
    checksum: fields.text('checksum', 32),
    checksums: fields.texts('checksums', 32, 32),
    export: fields.has('export') ? readDescription(fields.map('export')) : undefined,
    exports: fields.maps('exports').map(readDescription),
    credit: {
      transactions: credit.positive('transactions', 0xffffff),
      bytes: credit.positive('bytes', Number.MAX_SAFE_INTEGER),
      window: credit.positive('window', Number.MAX_SAFE_INTEGER),
    },
    lanes: fields.has('lanes') ? readLanes(fields) : 1,
    payloadBytesMax: fields.positive('payloadBytesMax', FRAME_PAYLOAD_BYTES_MAX),
    verifier: fields.bytes('verifier', VERIFIER_BYTES),
    agent: printable(fields.text('agent', AGENT_BYTES_MAX)),
    ...(fields.has('proof') ? { proof: fields.bytes('proof', PROOF_BYTES) } : {}),
  };
}

/** More than this version knows how to have is as many as it does. */
function readLanes(fields: Fields): number {
  return Math.min(LANES_MAX, fields.positive('lanes', 0xffff));
}

export function challengeBody({ nonce }: Challenge): Record<string, unknown> {
  return { nonce };
}

/** Reads a CHALLENGE. Throws DST_E_PROTOCOL where its nonce is missing or of another length. */
export function readChallenge(body: Readonly<Record<string, unknown>>): Challenge {
  return { nonce: new Fields('CHALLENGE', body).bytes('nonce', NONCE_BYTES) };
}

export function proofBody({ proof }: Proof): Record<string, unknown> {
  return { proof };
}

/** Reads a PROOF. Throws DST_E_PROTOCOL where it is missing or of another length. */
export function readProof(body: Readonly<Record<string, unknown>>): Proof {
  return { proof: new Fields('PROOF', body).bytes('proof', PROOF_BYTES) };
}

function readDescription(fields: Fields): ExportDescription {
  const known = new Set<string>(CAPABILITIES);
  return {
    name: fields.text('name', EXPORT_NAME_BYTES_MAX),
    sizeBytes: fields.integer('sizeBytes', DEVICE_BYTES_MAX),
    minimumBlockBytes: fields.powerOfTwo('minimumBlockBytes', 65536),
    preferredBlockBytes: fields.powerOfTwo('preferredBlockBytes', 2 ** 25),
    readOnly: fields.flag('readOnly'),
    capabilities: fields
      .texts('capabilities', 64, 32)
      .filter((name): name is Capability => known.has(name)),
  };
}

export function failureBody(failure: Failure): Record<string, unknown> {
  const message = failure.message.slice(0, FAILURE_MESSAGE_CHARACTERS_MAX);
  return { code: failure.code, message };
}

/** Reads what a peer says of a failure; what is missing is filled with a general sentence. */
export function readFailure(body: Readonly<Record<string, unknown>>): Failure {
  const { code, message } = body;
  return {
    code:
      typeof code === 'string' && /^DST_E_[A-Z0-9_]{1,48}$/.test(code)
        ? (code as DstErrorCode)
        : 'DST_E_PEER',
    message:
      typeof message === 'string' && message.length > 0
        ? printable(message.slice(0, FAILURE_MESSAGE_CHARACTERS_MAX))
        : 'the peer gave no reason',
  };
}

/** The error that stands for a peer's failure; `errno` is the NBD value that it sent. */
export function failureError(failure: Failure, errno?: number): DstError {
  return new DstError(
    failure.code,
    failure.message,
    errno === undefined ? {} : { errno: errnoName(errno) },
  );
}

/**
 * What a failed reply carries when the request's payload did not match its checksum (Linux's
 * EBADMSG; NBD has no such errno): it was not carried out, and is to be sent again.
 */
export const ERRNO_DAMAGED = 74;

/** The NBD value that travels for an errno. */
export function errnoValue(name: ErrnoName): number {
  return NBD_ERRNO[name];
}

export function noticeBody(notice: Notice): Record<string, unknown> {
  // A failure is often a DstError, which msgpackr would encode as an extension of its own.
  return notice.event === 'closing'
    ? { event: notice.event, failure: failureBody(notice.failure) }
    : { ...notice };
}

/** Reads a notice; undefined for an event that this version does not know. */
export function readNotice(body: Readonly<Record<string, unknown>>): Notice | undefined {
  const fields = new Fields('NOTICE', body);
  switch (body.event) {
    case 'resized':
      return { event: 'resized', sizeBytes: fields.integer('sizeBytes', DEVICE_BYTES_MAX) };
    case 'going away':
      return { event: 'going away' };
    case 'lanes':
      return { event: 'lanes', lanes: readLanes(fields) };
    case 'working':
      return { event: 'working', transactions: fields.integers('transactions', WORKING_IDS_MAX) };
    case 'closing':
      return { event: 'closing', failure: readFailure(fields.map('failure').values) };
    default:
      return undefined;
  }
}
