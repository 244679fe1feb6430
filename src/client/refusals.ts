/** What an export's refusals mean for a session. */

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
