import { randomBytes } from 'node:crypto';
import type { ChecksumName } from '../../wasm/checksums.js';
import { CREDIT_TRANSACTIONS, FRAME_PAYLOAD_BYTES_MAX, TRANSACTION_WINDOW } from '../limits.js';
import { PROTOCOL_VERSION } from '../protocol/kinds.js';
import { type Hello, NONCE_BYTES, VERIFIER_BYTES, type Welcome } from '../protocol/messages.js';
import { AGENT } from '../version.js';
import { describeStore, type Store } from './store.js';

/** What an export has, and what was decided on one HELLO. */
export interface WelcomeFacts {
  readonly stores: readonly Store[];
  readonly checksums: readonly ChecksumName[];
  /** The one that was chosen. */
  readonly checksum: ChecksumName;
  /** What the client asked for by name; undefined where it asked for the list. */
  readonly store: Store | undefined;
  readonly readOnly: boolean;
  /** How many lanes a session may have. */
  readonly lanesMax: number;
  /** Payload bytes that all lanes together may have in flight. */
  readonly creditBytes: number;
}

/** What WELCOME says, as things are now. Its nonce is fresh; a challenged client gets another. */
export function composeWelcome(hello: Hello, facts: WelcomeFacts): Welcome {
  const { stores, checksums, checksum, store, readOnly, lanesMax, creditBytes } = facts;
  return {
    version: PROTOCOL_VERSION,
    session: hello.session,
    epoch: hello.epoch,
    nonce: randomBytes(NONCE_BYTES),
    checksum,
    checksums,
    export: store === undefined ? undefined : describeStore(store, readOnly),
    exports: hello.intent === 'list' ? stores.map((each) => describeStore(each, readOnly)) : [],
    credit: {
      transactions: CREDIT_TRANSACTIONS,
      bytes: creditBytes,
      window: TRANSACTION_WINDOW,
    },
    lanes: lanesMax,
    payloadBytesMax: FRAME_PAYLOAD_BYTES_MAX,
    verifier: store?.device.verifier ?? Buffer.alloc(VERIFIER_BYTES),
    agent: AGENT,
  };
}
