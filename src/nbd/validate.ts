import type { ErrnoName } from '../errors.js';
import { NBD_PAYLOAD_BYTES_MAX } from '../limits.js';
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_SEND_CACHE,
  NBD_FLAG_SEND_DF,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_FUA,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
} from './constants.js';
import type { Request } from './request.js';
import type { Session } from './session.js';

/** Why a request is refused: what the client is told. */
export interface Refusal {
  readonly errno: ErrnoName;
  readonly message: string;
}

interface Rule {
  readonly name: string;
  /** The transmission flag that offers the command; 0 for those that need none. */
  readonly offeredBy: number;
  /** Command flags that the specification documents for it, beside FUA. */
  readonly flags: number;
  /** It changes the device. */
  readonly changes: boolean;
  readonly pastTheEnd: ErrnoName;
}

const RULES: readonly (Rule | undefined)[] = rules([
  [NBD_CMD_READ, 'read', 0, NBD_CMD_FLAG_DF, false, 'EINVAL'],
  [NBD_CMD_WRITE, 'write', 0, 0, true, 'ENOSPC'],
  [NBD_CMD_FLUSH, 'flush', NBD_FLAG_SEND_FLUSH, 0, false, 'EINVAL'],
  [NBD_CMD_TRIM, 'trim', NBD_FLAG_SEND_TRIM, 0, true, 'EINVAL'],
  [NBD_CMD_CACHE, 'cache', NBD_FLAG_SEND_CACHE, 0, false, 'EINVAL'],
  [
    NBD_CMD_WRITE_ZEROES,
    'write zeroes',
    NBD_FLAG_SEND_WRITE_ZEROES,
    NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
    true,
    'ENOSPC',
  ],
  [NBD_CMD_BLOCK_STATUS, 'block status', 0, NBD_CMD_FLAG_REQ_ONE, false, 'EINVAL'],
]);

/** The command flags that the client may set only where a transmission flag offers them. */
const FLAG_OFFERS: readonly (readonly [flag: number, offeredBy: number, name: string])[] = [
  [NBD_CMD_FLAG_FUA, NBD_FLAG_SEND_FUA, 'FUA'],
  [NBD_CMD_FLAG_DF, NBD_FLAG_SEND_DF, 'DF'],
  [NBD_CMD_FLAG_FAST_ZERO, NBD_FLAG_SEND_FAST_ZERO, 'FAST_ZERO'],
];

/** For messages: "write", or "command 77". */
export function commandName(command: number): string {
  return RULES[command]?.name ?? `command ${command}`;
}

/**
 * The one check of every request but DISC, with the errno of the NBD specification
 * ("Error values", "Block size constraints", "Command flags"); undefined where it is fine.
 *
 * Where the specification leaves the answer open:
 * - a length of 0 is EINVAL: it asks for nothing, so it is a client's mistake, and a block
 *   status cannot answer it (an extent is never empty). nbdkit and libnbd say the same;
 * - FUA is allowed on every command where it is offered, as "Command flags" demands;
 * - a read longer than the payload that we advertise is EOVERFLOW, such a write EINVAL;
 *   trim, write zeroes, cache and block status carry no payload and may be longer.
 */
export function refusalOf(request: Request, session: Session): Refusal | undefined {
  const rule = RULES[request.command];
  if (rule === undefined) return refuse('EINVAL', `command ${request.command} is unknown`);
  return (
    permissionRefusal(rule, request, session) ??
    (request.flags === 0 ? undefined : flagRefusal(rule, request, session)) ??
    (request.command === NBD_CMD_FLUSH
      ? flushRefusal(request)
      : rangeRefusal(rule, request, session))
  );
}

function permissionRefusal(rule: Rule, request: Request, session: Session): Refusal | undefined {
  if (rule.changes && (session.transmissionFlags & NBD_FLAG_READ_ONLY) !== 0) {
    return refuse('EPERM', `${rule.name} is refused: the export is read-only`);
  }
  if ((session.transmissionFlags & rule.offeredBy) !== rule.offeredBy) {
    return refuse('EINVAL', `${rule.name} was not offered`);
  }
  if (request.command === NBD_CMD_BLOCK_STATUS && !session.allocationContext) {
    return refuse('EINVAL', 'block status without a metadata context selected');
  }
  return undefined;
}

function flagRefusal(rule: Rule, request: Request, session: Session): Refusal | undefined {
  const unknown = request.flags & ~(rule.flags | NBD_CMD_FLAG_FUA);
  if (unknown !== 0) {
    return refuse('EINVAL', `${rule.name} does not take the flags 0x${unknown.toString(16)}`);
  }
  for (const [flag, offeredBy, name] of FLAG_OFFERS) {
    if ((request.flags & flag) !== 0 && (session.transmissionFlags & offeredBy) === 0) {
      return refuse('EINVAL', `${rule.name} with ${name}, which was not offered`);
    }
  }
  return undefined;
}

function flushRefusal(request: Request): Refusal | undefined {
  if (request.offset === 0 && request.lengthBytes === 0) return undefined;
  return refuse('EINVAL', 'flush with an offset or a length');
}

function rangeRefusal(rule: Rule, request: Request, session: Session): Refusal | undefined {
  const { command, offset, lengthBytes } = request;
  const { sizeBytes, minimumBlockBytes } = session;
  if (lengthBytes === 0) return refuse('EINVAL', `${rule.name} of no bytes`);
  if (lengthBytes > NBD_PAYLOAD_BYTES_MAX) {
    if (command === NBD_CMD_READ || command === NBD_CMD_WRITE) {
      return refuse(
        command === NBD_CMD_READ ? 'EOVERFLOW' : 'EINVAL',
        `${rule.name} of ${lengthBytes} bytes: at most ${NBD_PAYLOAD_BYTES_MAX} at once`,
      );
    }
  }
  if (offset + lengthBytes > sizeBytes) {
    return refuse(
      rule.pastTheEnd,
      `${rule.name} of ${lengthBytes} bytes at ${offset} is past the end (${sizeBytes} bytes)`,
    );
  }
  // Sizes of blocks are powers of two, but offsets exceed the 32 bits of a mask.
  if (
    minimumBlockBytes > 1 &&
    (offset % minimumBlockBytes !== 0 || lengthBytes % minimumBlockBytes !== 0)
  ) {
    return refuse(
      'EINVAL',
      `${rule.name} of ${lengthBytes} bytes at ${offset} is not aligned to ${minimumBlockBytes}-byte blocks`,
    );
  }
  return undefined;
}

function refuse(errno: ErrnoName, message: string): Refusal {
  return { errno, message };
}

function rules(
  rows: readonly (readonly [
    command: number,
    name: string,
    offeredBy: number,
    flags: number,
    changes: boolean,
    pastTheEnd: ErrnoName,
  ])[],
): readonly (Rule | undefined)[] {
  const table: (Rule | undefined)[] = [];
  for (const [command, name, offeredBy, flags, changes, pastTheEnd] of rows) {
    table[command] = { name, offeredBy, flags, changes, pastTheEnd };
  }
  return table;
}
