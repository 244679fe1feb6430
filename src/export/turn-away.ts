import type { Clock, Timer } from '../clock.js';
import { REFUSAL_LINGER_MS, TURN_AWAY_TIMEOUT_MS } from '../limits.js';
import { encodeControl } from '../protocol/encode.js';
import { KIND } from '../protocol/kinds.js';
import { type Failure, failureBody } from '../protocol/messages.js';
import type { Connection } from '../transport/transport.js';

/**
 * Tells a client that it may not connect, and closes the connection, whatever it says: its
 * first stream is answered with REFUSED, and nothing that it sends is kept or looked at. It is
 * closed after REFUSAL_LINGER_MS, or after TURN_AWAY_TIMEOUT_MS where it opens no stream.
 */
export function turnAway(connection: Connection, failure: Failure, clock: Clock): void {
  const close = () => connection.close(failure.message);
  let timer: Timer = clock.after(TURN_AWAY_TIMEOUT_MS, close);
  let told = false;
  connection.onClose(() => timer.cancel());
  connection.onStream((stream) => {
    // A stream that nobody reads would keep what comes.
    stream.onData(() => {});
    if (told) return;
    told = true;
    stream.write([encodeControl(KIND.refused, 0, failureBody(failure))]);
    timer.cancel();
    timer = clock.after(REFUSAL_LINGER_MS, close);
  });
}
