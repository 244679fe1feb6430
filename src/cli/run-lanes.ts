import type { LanesChoice } from '../client/lane-keeper.js';
import { DstError } from '../errors.js';
import { listAttached, placeOf } from '../ops/attached.js';
import { askForLanes, findExports } from '../ops/control-client.js';
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

/** Has the export with a store of this name, or with this process id, allow so many lanes. */
export async function runLanesOfExport(what: string, lanes: number): Promise<void> {
  const exports = await findExports();
  const found = exports.filter(
    ({ status: { pid, stores } }) => `${pid}` === what || stores.includes(what),
  );
  const [first, second] = found;
  if (first === undefined) {
    throw new DstError(
      'DST_E_NOT_ATTACHED',
      `no export of this user on this machine offers "${what}": give a store's name or the export's process id`,
    );
  }
  if (second !== undefined) {
    const pids = found.map(({ status }) => status.pid).join(', ');
    throw new DstError(
      'DST_E_AMBIGUOUS',
      `"${what}" is offered by several exports: give the process id of one, of ${pids}`,
    );
  }
  await askForLanes(first.socketPath, `${lanes}`);
}
