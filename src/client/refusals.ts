/** What an export's refusals mean for a session. */

/** Refusals that another attempt cannot change. */
export const FINAL_REFUSALS: ReadonlySet<string> = new Set([
  'DST_E_EXPORT_UNKNOWN',
  'DST_E_VERSION',
  'DST_E_CHECKSUM_NONE',
  'DST_E_SESSION',
  'DST_E_TAKEN_OVER',
  'DST_E_SECRET',
  'DST_E_SECRET_NEEDED',
  'DST_E_SECRET_UNASKED',
  'DST_E_SECRET_EXPORT',
]);

/** How an attempt ends that gave way to another of ours. */
export const OWN_DOING: ReadonlySet<string> = new Set([
  'DST_E_ABORTED',
  'DST_E_FENCED',
  'DST_E_EPOCH',
]);
