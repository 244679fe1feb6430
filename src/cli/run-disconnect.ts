import { readFileSync } from 'node:fs';
import { DstError } from '../errors.js';
import { CLIENT_END_POLL_MS, CLIENT_END_TIMEOUT_MS } from '../limits.js';
import { parseDeviceChoice } from '../nbd/kernel/device-name.js';
import { type Attached, listAttached, placeOf } from '../ops/attached.js';
import { askToDisconnect } from '../ops/control-client.js';
import { detachOrphan } from '../ops/detach-orphan.js';
import { parseTyped } from './exit.js';

/** Ends one client, or detaches the device of a dead one. `what` is as `dst-quic status` shows it. */
export async function runDisconnect(what: string, force: boolean): Promise<void> {
  const found = chooseAttached(await listAttached(), what);
  if (found.orphanIndex !== undefined) await disconnectOrphan(found.orphanIndex, force);
  else if (found.socketPath !== undefined) await disconnectClient(found, found.socketPath, force);
  else throw unanswered(found);
}

/**
 * Throws DST_E_NOT_ATTACHED or DST_E_AMBIGUOUS where it is not one, and DST_E_CLIENT_SILENT where
 * it may be one that does not answer.
 */
export function chooseAttached(attached: readonly Attached[], what: string): Attached {
  const device = what.startsWith('/dev/') ? what : `/dev/${what}`;
  const here = attached.filter((each) => [what, device].includes(placeOf(each)));
  const found = here.length > 0 ? here : attached.filter(({ status }) => status.export === what);
  const [first, second] = found;
  if (first === undefined) throw notAttached(what, attached);
  if (second === undefined) return first;
  throw new DstError(
    'DST_E_AMBIGUOUS',
    `"${what}" is attached more than once: give one of ${found.map(placeOf).join(', ')}`,
  );
}

function notAttached(what: string, attached: readonly Attached[]): DstError {
  if (what.startsWith('/dev/')) parseTyped(() => parseDeviceChoice(what));
  const silent = attached.filter(({ status }) => status.state === 'silent' && !status.export);
  if (silent.length > 0) {
    return new DstError(
      'DST_E_CLIENT_SILENT',
      `no client that answers serves "${what}", and ${silent.map(placeOf).join(', ')} may, without an answer: see the log of that, or end it with "kill"`,
    );
  }
  return new DstError(
    'DST_E_NOT_ATTACHED',
    `no client of this user serves "${what}": see "dst-quic status", as root for what root attached`,
  );
}

async function disconnectClient(
  { status }: Attached,
  socketPath: string,
  force: boolean,
): Promise<void> {
  await askToDisconnect(socketPath, force);
  if (status.pid !== undefined) await waitForEnd(status.pid);
  if (status.state !== 'connecting') return;
  const left = await orphanOf(status.device);
  if (left !== undefined) await disconnectOrphan(left, force);
}

/** What a client leaves that was about to take a device over, and was not connected yet. */
async function orphanOf(device: string | undefined): Promise<number | undefined> {
  const attached = device === undefined ? [] : await listAttached();
  return attached.find(({ status }) => status.device === device)?.orphanIndex;
}

/** All is done by then: that the process is gone as well only spares scripts to wait for it. */
async function waitForEnd(processId: number): Promise<void> {
  const deadlineMs = performance.now() + CLIENT_END_TIMEOUT_MS;
  while (isRunning(processId) && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, CLIENT_END_POLL_MS));
  }
}

/** One that has ended, and whose parent has not asked how (state Z), runs no more. */
function isRunning(processId: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${processId}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function disconnectOrphan(index: number, force: boolean): Promise<void> {
  const record = await detachOrphan(index, force);
  if (record?.session.unflushed === false) return;
  process.stderr.write(
    'dst-quic: its client was gone, so that the export was not asked to flush: what was written last may be lost if the machine of the export goes down before it does so by itself\n',
  );
}

/** Why a client that was found cannot be asked for anything. */
export function unanswered(found: Attached): DstError {
  const { pid, state } = found.status;
  const who = pid === undefined ? 'a process' : `process ${pid}`;
  const [code, why, step] =
    state === 'starting'
      ? (['DST_E_CLIENT_STARTING', 'is about to serve it', 'try again soon'] as const)
      : (['DST_E_CLIENT_SILENT', 'serves it and does not answer', 'see its log'] as const);
  const kill = pid === undefined ? '' : `, or end it with "kill ${pid}"`;
  return new DstError(code, `${placeOf(found)}: ${who} ${why}: ${step}${kill}`);
}
