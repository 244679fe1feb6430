import type { LanesChoice } from '../client/lane-keeper.js';
import { DstError } from '../errors.js';
import { listAttached, placeOf } from '../ops/attached.js';
import { askForLanes } from '../ops/control-client.js';
import { chooseAttached, unanswered } from './run-disconnect.js';

/** Has one client use so many lanes. `what` is as `dst-quic status` shows it. */
export async function runLanes(what: string, choice: LanesChoice): Promise<void> {
  const found = chooseAttached(await listAttached(), what);
  if (found.orphanIndex !== undefined) {
    throw new DstError(
      'DST_E_NOT_ATTACHED',
      `${placeOf(found)} has no client that could have lanes: start it again with "dst-quic connect"`,
    );
  }
  if (found.socketPath === undefined) throw unanswered(found);
  await askForLanes(found.socketPath, `${choice}`);
}
