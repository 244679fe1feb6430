import type { BlockDevice } from '../block/device.js';
import { NBD_OPTION_BYTES_MAX, NBD_OPTION_SKIP_BYTES_MAX, NBD_OPTIONS_MAX } from '../limits.js';
import {
  NBD_CONTEXT_ALLOCATION,
  NBD_CONTEXT_BASE,
  NBD_FLAG_C_FIXED_NEWSTYLE,
  NBD_FLAG_C_NO_ZEROES,
  NBD_INFO_DESCRIPTION,
  NBD_INFO_NAME,
  NBD_OPT_ABORT,
  NBD_OPT_EXPORT_NAME,
  NBD_OPT_GO,
  NBD_OPT_INFO,
  NBD_OPT_LIST,
  NBD_OPT_LIST_META_CONTEXT,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_OPTS_MAGIC,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_TOO_BIG,
  NBD_REP_ERR_UNKNOWN,
  NBD_REP_ERR_UNSUP,
} from './constants.js';
import { OptionData } from './option-data.js';
import {
  ackReply,
  blockSizeInfoReply,
  contextReply,
  errorReply,
  exportInfoReply,
  exportNameAnswer,
  serverReply,
  textInfoReply,
} from './option-replies.js';
import { type Agreed, type Session, sessionOf } from './session.js';

/** The one export of a bridge. */
export interface ExportOffer {
  readonly name: string;
  readonly description: string;
  readonly device: BlockDevice;
}

/** The id that a client is given for base:allocation. */
export const ALLOCATION_CONTEXT_ID = 1;

/**
 * Where the handshake stands.
 * - `more`: it goes on.
 * - `ready`: it is over; `rest` are bytes that came after it, of the transmission phase.
 * - `end`: the client is done: send the replies, then end the connection.
 * - `drop`: the client broke the protocol: end the connection at once.
 */
export type Outcome =
  | { readonly kind: 'more' }
  | { readonly kind: 'ready'; readonly session: Session; readonly rest: Buffer }
  | { readonly kind: 'end' }
  | { readonly kind: 'drop'; readonly reason: string };

export interface Step {
  readonly replies: readonly Buffer[];
  readonly outcome: Outcome;
}

const CLIENT_FLAGS_BYTES = 4;
const OPTION_HEADER_BYTES = 16;
const MORE: Outcome = { kind: 'more' };
const NOTHING = Buffer.alloc(0);

/**
 * The server's half of the fixed newstyle handshake, after its greeting (NBD
 * specification, "Handshake phase"). Does no I/O: bytes go in, replies come out.
 *
 * It holds at most one option (NBD_OPTION_BYTES_MAX) beside the chunk at hand, so that a
 * client that sends garbage costs no memory.
 */
export class Negotiation {
  readonly #offer: ExportOffer;
  readonly #agreed: Agreed = { structuredReplies: false, allocationContext: false };
  #clientFlags: number | undefined;
  #noZeroes = false;
  #options = 0;
  #pending: Buffer = NOTHING;
  #skipBytes = 0;
  #replies: Buffer[] = [];

  constructor(offer: ExportOffer) {
    this.#offer = offer;
  }

  /** Not to be called again once the outcome is another than `more`. */
  push(chunk: Buffer): Step {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let outcome = MORE;
    let before: number;
    do {
      before = this.#pending.length;
      outcome = this.#step();
    } while (outcome.kind === 'more' && this.#pending.length < before);
    const replies = this.#replies;
    this.#replies = [];
    return { replies, outcome };
  }

  /** Takes one thing off `#pending`, or nothing where it is not all there yet. */
  #step(): Outcome {
    if (this.#skipBytes > 0) {
      this.#skipBytes -= this.#take(Math.min(this.#skipBytes, this.#pending.length)).length;
      return MORE;
    }
    if (this.#clientFlags === undefined) return this.#takeClientFlags();
    if (this.#pending.length < OPTION_HEADER_BYTES) return MORE;
    if (!this.#pending.subarray(0, NBD_OPTS_MAGIC.length).equals(NBD_OPTS_MAGIC)) {
      return drop('an option without the option magic');
    }
    const option = this.#pending.readUInt32BE(8);
    const lengthBytes = this.#pending.readUInt32BE(12);
    if (lengthBytes > NBD_OPTION_BYTES_MAX) return this.#skipOption(option, lengthBytes);
    if (this.#pending.length < OPTION_HEADER_BYTES + lengthBytes) return MORE;
    this.#take(OPTION_HEADER_BYTES);
    const data = this.#take(lengthBytes);
    this.#options += 1;
    if (this.#options > NBD_OPTIONS_MAX) return drop(`more than ${NBD_OPTIONS_MAX} options`);
    return this.#handleOption(option, data);
  }

  #takeClientFlags(): Outcome {
    if (this.#pending.length < CLIENT_FLAGS_BYTES) return MORE;
    const flags = this.#take(CLIENT_FLAGS_BYTES).readUInt32BE(0);
    if ((flags & ~(NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES)) !== 0) {
      return drop(`unknown client flags 0x${flags.toString(16)}`);
    }
    this.#clientFlags = flags;
    this.#noZeroes = (flags & NBD_FLAG_C_NO_ZEROES) !== 0;
    return MORE;
  }

  #skipOption(option: number, lengthBytes: number): Outcome {
    // EXPORT_NAME has no way to be told an error.
    if (lengthBytes > NBD_OPTION_SKIP_BYTES_MAX || option === NBD_OPT_EXPORT_NAME) {
      return drop(`option ${option} with ${lengthBytes} bytes of data`);
    }
    this.#take(OPTION_HEADER_BYTES);
    this.#options += 1;
    this.#skipBytes = lengthBytes;
    return this.#fail(
      option,
      NBD_REP_ERR_TOO_BIG,
      `an option may have ${NBD_OPTION_BYTES_MAX} bytes of data, this one has ${lengthBytes}`,
    );
  }

  #take(lengthBytes: number): Buffer {
    const taken = this.#pending.subarray(0, lengthBytes);
    this.#pending = this.#pending.subarray(lengthBytes);
    return taken;
  }

  #handleOption(option: number, data: Buffer): Outcome {
    switch (option) {
      case NBD_OPT_EXPORT_NAME:
        return this.#exportName(data.toString('utf8'));
      case NBD_OPT_ABORT:
        this.#replies.push(ackReply(option));
        return { kind: 'end' };
      case NBD_OPT_LIST:
        return this.#withoutData(option, data, () => {
          const { name, description } = this.#offer;
          this.#replies.push(serverReply(option, name, description), ackReply(option));
        });
      case NBD_OPT_STARTTLS:
        return data.length > 0
          ? this.#fail(option, NBD_REP_ERR_INVALID, 'this option takes no data')
          : this.#fail(option, NBD_REP_ERR_UNSUP, 'there is no TLS on a local socket');
      case NBD_OPT_INFO:
      case NBD_OPT_GO:
        return this.#info(option, new OptionData(data));
      case NBD_OPT_STRUCTURED_REPLY:
        return this.#withoutData(option, data, () => {
          this.#agreed.structuredReplies = true;
          this.#replies.push(ackReply(option));
        });
      case NBD_OPT_LIST_META_CONTEXT:
      case NBD_OPT_SET_META_CONTEXT:
        return this.#metaContext(option, new OptionData(data));
      default:
        return this.#fail(option, NBD_REP_ERR_UNSUP, `option ${option} is not supported`);
    }
  }

  #exportName(name: string): Outcome {
    // The specification knows no error reply here, only the end of the connection.
    if (!this.#isOurs(name)) return drop(this.#unknownName(name));
    const session = sessionOf(this.#offer.device, this.#agreed);
    this.#replies.push(exportNameAnswer(session, this.#noZeroes));
    return { kind: 'ready', session, rest: this.#pending };
  }

  #info(option: number, data: OptionData): Outcome {
    const name = data.string();
    const wanted = data.list(data.uint16(), () => data.uint16());
    if (data.malformed) return this.#fail(option, NBD_REP_ERR_INVALID, 'its lengths do not add up');
    if (!this.#isOurs(name)) {
      return this.#fail(option, NBD_REP_ERR_UNKNOWN, this.#unknownName(name));
    }
    const { device, description } = this.#offer;
    const session = sessionOf(device, this.#agreed);
    this.#replies.push(exportInfoReply(option, session));
    // Sent unasked too: a client that heeds it saves itself refused commands.
    this.#replies.push(blockSizeInfoReply(option, device.geometry));
    if (wanted.includes(NBD_INFO_NAME)) {
      this.#replies.push(textInfoReply(option, NBD_INFO_NAME, this.#offer.name));
    }
    if (wanted.includes(NBD_INFO_DESCRIPTION)) {
      this.#replies.push(textInfoReply(option, NBD_INFO_DESCRIPTION, description));
    }
    this.#replies.push(ackReply(option));
    return option === NBD_OPT_GO ? { kind: 'ready', session, rest: this.#pending } : MORE;
  }

  #metaContext(option: number, data: OptionData): Outcome {
    const selects = option === NBD_OPT_SET_META_CONTEXT;
    // Each SET replaces what the last one selected, even where it fails.
    if (selects) this.#agreed.allocationContext = false;
    const name = data.string();
    const queries = data.list(data.uint32(), () => data.string());
    if (data.malformed) return this.#fail(option, NBD_REP_ERR_INVALID, 'its lengths do not add up');
    if (!this.#agreed.structuredReplies) {
      return this.#fail(option, NBD_REP_ERR_INVALID, 'structured replies must be agreed on first');
    }
    if (!this.#isOurs(name)) {
      return this.#fail(option, NBD_REP_ERR_UNKNOWN, this.#unknownName(name));
    }
    const matches = selects
      ? queries.includes(NBD_CONTEXT_ALLOCATION)
      : queries.length === 0 ||
        queries.includes(NBD_CONTEXT_ALLOCATION) ||
        queries.includes(NBD_CONTEXT_BASE);
    if (matches && this.#offer.device.capabilities.blockStatus) {
      if (selects) this.#agreed.allocationContext = true;
      const contextId = selects ? ALLOCATION_CONTEXT_ID : 0;
      this.#replies.push(contextReply(option, contextId, NBD_CONTEXT_ALLOCATION));
    }
    this.#replies.push(ackReply(option));
    return MORE;
  }

  #withoutData(option: number, data: Buffer, answer: () => void): Outcome {
    if (data.length > 0)
      return this.#fail(option, NBD_REP_ERR_INVALID, 'this option takes no data');
    answer();
    return MORE;
  }

  #fail(option: number, type: number, message: string): Outcome {
    this.#replies.push(errorReply(option, type, message));
    return MORE;
  }

  /** The empty name means the default export, and there is only one. */
  #isOurs(name: string): boolean {
    return name === '' || name === this.#offer.name;
  }

  #unknownName(name: string): string {
    const asked = JSON.stringify(name.slice(0, 100));
    return `there is no export ${asked} here, only ${JSON.stringify(this.#offer.name)}`;
  }
}

function drop(reason: string): Outcome {
  return { kind: 'drop', reason };
}
