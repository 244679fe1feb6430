/**
 * Says HELLO on a connection and waits for WELCOME, which makes a lane of it: the waiting and
 * the sending around `Greeting`, which knows what is said.
 */
import type { Clock } from '../clock.js';
import { DstError } from '../errors.js';
import { CONTROL_BODY_BYTES_MAX } from '../limits.js';
import { FrameDecoder } from '../protocol/decoder.js';
import { protocolError } from '../protocol/header.js';
import type { Connection } from '../transport/transport.js';
import { Greeting, type LinkRequest } from './greeting.js';
import { Lane, lost } from './lane.js';

export interface GreetOptions {
  readonly clock: Clock;
  readonly pingIntervalMs: number;
  /** From HELLO to WELCOME. */
  readonly timeoutMs: number;
  /** Aborted when the lane is not wanted any more. */
  readonly signal?: AbortSignal;
}

/**
 * Says HELLO on a new connection, proves the secret where there is one, and waits for
 * WELCOME. Rejects with the export's own refusal, as `Greeting` does, or with DST_E_TIMEOUT
 * or DST_E_CONNECTION_LOST; the connection is closed then.
 */
export async function greetLane(
  connection: Connection,
  request: LinkRequest,
  options: GreetOptions,
): Promise<Lane> {
  const { clock, timeoutMs, signal } = options;
  let giveUp: (reason: DstError) => void = () => {};
  const abort = () => giveUp(lost({ message: 'it is not wanted any more' }));
  const timer = clock.after(timeoutMs, () => giveUp(noWelcome(timeoutMs)));
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await new Promise<Lane>((resolve, reject) => {
      giveUp = reject;
      if (signal?.aborted) abort();
      exchange(connection, request, options, resolve, reject);
    });
  } catch (error) {
    connection.close('the handshake failed');
    throw error;
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', abort);
  }
}

function exchange(
  connection: Connection,
  request: LinkRequest,
  { clock, pingIntervalMs }: GreetOptions,
  resolve: (lane: Lane) => void,
  reject: (error: DstError) => void,
): void {
  const control = connection.openStream();
  const greeting = new Greeting(request, pingIntervalMs, connection.serverCertificateSha256);
  let lane: Lane | undefined;
  let saidMs = clock.nowMs();
  const decoder = new FrameDecoder(
    (header) => {
      if (header.payloadBytes > CONTROL_BODY_BYTES_MAX) throw protocolError('a long body');
    },
    (frame) => {
      if (lane !== undefined) {
        lane.onControl(frame);
        return;
      }
      const step = greeting.take(frame);
      if ('send' in step) {
        saidMs = clock.nowMs();
        control.write([step.send]);
        return;
      }
      const { lane: number = 0 } = request;
      const roundTripMs = clock.nowMs() - saidMs;
      const { welcome } = step;
      lane = new Lane({ connection, control, welcome, number, roundTripMs, clock, pingIntervalMs });
      resolve(lane);
    },
  );
  control.onData((chunk) => {
    try {
      decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      if (lane === undefined) reject(error);
      else lane.fail(error);
    }
  });
  connection.onClose((reason) => {
    if (lane === undefined) reject(lost(reason));
  });
  control.write([greeting.hello]);
}

function noWelcome(timeoutMs: number): DstError {
  return new DstError(
    'DST_E_TIMEOUT',
    `the export did not answer within ${timeoutMs / 1000} s; is it overloaded or of another version?`,
  );
}
