import { DstError } from '../errors.js';
import type { Log } from '../log.js';
import { notifyService } from '../ops/sd-notify.js';

/** Tells the service manager, if there is one; a warning where that fails: serving goes on. */
export async function tellService(state: 'READY=1' | 'STOPPING=1', log: Log): Promise<void> {
  try {
    await notifyService(state);
  } catch (error) {
    if (!(error instanceof DstError)) throw error;
    log.warn({ code: error.code }, error.message);
  }
}
