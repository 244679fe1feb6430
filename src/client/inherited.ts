/**
 * What a client inherits that resumes the session of a process that has ended: changes which
 * that one had acked, and which may not be flushed. Nobody keeps them any more, so they have to
 * be flushed before anything else may be promised.
 */
import { DstError } from '../errors.js';

const NEXT_STEP =
  'acked writes may be lost: detach the device, check the file system, then connect again';

/** The export lost what it held, or may have, before what was inherited had been flushed. */
export function inheritedCacheLost(): DstError {
  return replayLost(
    "this client's last process ended, and before a flush the export's machine was restarted or its disk failed",
  );
}

/** The export cannot flush what was inherited. */
export function inheritedFlushFailed(cause: unknown): DstError {
  return replayLost(
    "this client's last process ended, and the export could not flush what was written before",
    cause,
  );
}

function replayLost(what: string, cause?: unknown): DstError {
  return new DstError('DST_E_REPLAY_LOST', `${what}: ${NEXT_STEP}`, { errno: 'EIO', cause });
}
