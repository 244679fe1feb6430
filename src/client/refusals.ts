/** What an export's refusals mean for a session. */
import { DstError } from '../errors.js';

/**
 * Refusals that another attempt cannot change. Those for who the client is (its address, its
 * certificate, the secret) are none: an export that was started with a wrong option comes back
 * with the right one, and until then a session that it had welcomed waits as in any outage.
 */
export const FINAL_REFUSALS: ReadonlySet<string> = new Set([
  'DST_E_EXPORT_UNKNOWN',
  'DST_E_VERSION',
  'DST_E_CHECKSUM_NONE',
  'DST_E_SESSION',
  'DST_E_TAKEN_OVER',
]);

/** How an attempt ends that gave way to another of ours. */
export const OWN_DOING: ReadonlySet<string> = new Set([
  'DST_E_ABORTED',
  'DST_E_FENCED',
  'DST_E_EPOCH',
]);

/** Refusals that an export gives over every transport alike: for how it is, or how we are. */
const OF_NO_TRANSPORT: ReadonlySet<string> = new Set([
  ...OWN_DOING,
  'DST_E_GOING_AWAY',
  'DST_E_BUSY',
  'DST_E_SESSIONS',
  'DST_E_TAKEN_OVER',
]);

/** How a HELLO ends that nobody has answered. */
const UNANSWERED: ReadonlySet<string> = new Set(['DST_E_TIMEOUT', 'DST_E_CONNECTION_LOST']);

export function isUnanswered(error: unknown): boolean {
  return error instanceof DstError && UNANSWERED.has(error.code);
}

/** What a HELLO that ended so says of its connection; undefined where nobody has answered. */
export function newsOfRefusal(error: unknown): 'answered' | 'denied' | undefined {
  if (!(error instanceof DstError) || UNANSWERED.has(error.code)) return undefined;
  return OF_NO_TRANSPORT.has(error.code) ? 'answered' : 'denied';
}

/**
 * Whether a refusal ends a session. While a link works, another address of the export's name may
 * be somebody else's; so may what is behind another transport than the session was welcomed on.
 */
export function isFinalRefusal(error: DstError, linkUp: boolean, sameTransport: boolean): boolean {
  if (error.code === 'DST_E_TAKEN_OVER') return true;
  return !linkUp && sameTransport && FINAL_REFUSALS.has(error.code);
}
