/**
 * What is said over a client's control socket: HTTP, with JSON in its bodies. `GET /status` is
 * answered by a `ClientStatus`; `POST /disconnect` (or `/disconnect?force=true`) ends the client,
 * and is answered when all is done; `POST /lanes?count=4` (or `auto`) has it use so many lanes.
 * What fails is answered by a code and a message. An export has one too, which knows `GET /status`,
 * answered by an `ExportStatus`, and `POST /lanes`.
 */
import {
  DEVICE_ADDRESS_BYTES_MAX,
  DEVICE_BYTES_MAX,
  LANES_MAX,
  STORE_NAME_BYTES_MAX,
  STORES_MAX,
} from '../limits.js';
import { Fields } from '../protocol/fields.js';

export const STATUS_PATH = '/status';
export const DISCONNECT_PATH = '/disconnect';
export const FORCE_PARAMETER = 'force';
export const LANES_PATH = '/lanes';
export const COUNT_PARAMETER = 'count';

const STATES = ['connecting', 'connected', 'reconnecting', 'ended'] as const;

/** How a client does, as it says itself. `dst-quic status --json` prints it as it is. */
export interface ClientStatus {
  readonly pid: number;
  /** The kernel's device: "/dev/nbd0". */
  readonly device?: string | undefined;
  /** Where NBD programs reach it, of a client without a device. */
  readonly uri?: string | undefined;
  /** The export's name. */
  readonly export: string;
  /** As it was given to `connect`. */
  readonly address: string;
  /** What carries the session, or carried it last. */
  readonly transport?: string | undefined;
  /**
   * "connecting": it has not reached its export yet, and serves nothing. "ended": the export
   * will not have it any more, and commands fail.
   */
  readonly state: (typeof STATES)[number];
  /** Not known to a client that has never been connected. */
  readonly sizeBytes?: number | undefined;
  readonly readOnly: boolean;
  /** Connections side by side, and how many are wanted; of a client that is connected. */
  readonly lanes?: number | undefined;
  readonly lanesWanted?: number | undefined;
  /** Commands without an answer, and their payload. */
  readonly inFlight: number;
  readonly inFlightBytes: number;
  /** Acknowledged changes that no flush covers yet. */
  readonly unflushedBytes: number;
  /** When it began to serve, or to connect (ISO 8601). */
  readonly since: string;
}

/** Reads what a client answered, which may be of another version. Throws where it lacks something. */
export function readClientStatus(answer: unknown): ClientStatus {
  const fields = new Fields('status', answer as Record<string, unknown>);
  const text = (key: string) => fields.text(key, DEVICE_ADDRESS_BYTES_MAX);
  const textIfThere = (key: string) => (fields.has(key) ? { [key]: text(key) } : {});
  const count = (key: string) => fields.integer(key, Number.MAX_SAFE_INTEGER);
  return {
    pid: count('pid'),
    ...textIfThere('device'),
    ...textIfThere('uri'),
    export: text('export'),
    address: text('address'),
    ...textIfThere('transport'),
    state: fields.oneOf('state', STATES),
    ...(fields.has('sizeBytes') && { sizeBytes: fields.integer('sizeBytes', DEVICE_BYTES_MAX) }),
    readOnly: fields.flag('readOnly'),
    ...(fields.has('lanes') && { lanes: fields.integer('lanes', LANES_MAX) }),
    ...(fields.has('lanesWanted') && { lanesWanted: fields.integer('lanesWanted', LANES_MAX) }),
    inFlight: count('inFlight'),
    inFlightBytes: count('inFlightBytes'),
    unflushedBytes: count('unflushedBytes'),
    since: text('since'),
  };
}

/** What an export offers, as it says itself. */
export interface ExportStatus {
  readonly pid: number;
  /** The names of its stores. */
  readonly stores: readonly string[];
  /** That one client may have. */
  readonly lanes: number;
}

/** Reads what an export answered. Throws where it lacks something. */
export function readExportStatus(answer: unknown): ExportStatus {
  const fields = new Fields('status', answer as Record<string, unknown>);
  return {
    pid: fields.integer('pid', Number.MAX_SAFE_INTEGER),
    stores: fields.texts('stores', STORES_MAX, STORE_NAME_BYTES_MAX),
    lanes: fields.integer('lanes', LANES_MAX),
  };
}
