import { CONNECT_TIMEOUT_MS, FIRST_HELLO_TIMEOUT_MS } from '../limits.js';
import type { Connection } from '../transport/transport.js';
import type { Dial } from './dial.js';
import type { Link } from './link.js';
import { isUnanswered } from './refusals.js';

/** Says HELLO on a connection, which is to be answered within `timeoutMs`. */
export type Greet = (connection: Connection, timeoutMs: number) => Promise<Link>;

/**
 * Dials and is welcomed, for the first time. A HELLO without an answer is said once more on
 * another connection: a router makes that over its other transport, as a network may let QUIC
 * shake hands and then drop it. Rejects as `dial` and the last `greet` do.
 */
export async function firstGreeting(dial: Dial, greet: Greet): Promise<Link> {
  const { signal } = new AbortController();
  const connect = (attempt: number) => dial({ timeoutMs: CONNECT_TIMEOUT_MS, signal, attempt });
  const first = await connect(0);
  try {
    return await greet(first, FIRST_HELLO_TIMEOUT_MS);
  } catch (error) {
    if (!isUnanswered(error)) throw error;
  }
  return greet(await connect(1), CONNECT_TIMEOUT_MS);
}
