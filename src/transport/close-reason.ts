import { CLOSE_REASON_BYTES_MAX } from '../limits.js';

/**
 * As much of a close reason as fits CLOSE_REASON_BYTES_MAX in UTF-8, no character cut in two. One
 * that fits no packet is never sent, and the QUIC engine then keeps the connection until it is
 * idle.
 */
export function shortReason(reason: string): string {
  const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(CLOSE_REASON_BYTES_MAX));
  return reason.slice(0, read);
}
