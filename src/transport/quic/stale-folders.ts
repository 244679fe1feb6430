import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, type Stats } from 'node:fs';
import { join } from 'node:path';

export const PRIVATE_MODE = 0o700;
const MODE_BITS = 0o777;

/** dst-quic-MACHINE-PID-START-RANDOM, as `folderPrefix` and mkdtemp make it. */
const NAME = /^dst-quic-([0-9a-f]{8})-([0-9]+)-([0-9]+)-[A-Za-z0-9]{6}$/;

/** When a process began, in ticks since the boot, is the 22nd field of its line in /proc. */
const START_FIELD = 22;

/**
 * What the name of this process's private folder begins with, for mkdtemp. It says whose the
 * folder is, so that whoever comes later can tell whether that process lives.
 */
export function folderPrefix(): string {
  const start = startOf(process.pid) ?? '0';
  return `dst-quic-${machineTag() ?? '00000000'}-${process.pid}-${start}-`;
}

/**
 * Removes the private folders in `parent` of processes that were killed: only those of our own
 * user and mode, made since this boot in this namespace of process ids, whose process is gone.
 * What cannot be removed, or told, stays.
 */
export function removeStaleFolders(parent: string): void {
  const tag = machineTag();
  if (tag === undefined) return;
  for (const name of namesIn(parent)) {
    const [, madeUnder, id, start] = NAME.exec(name) ?? [];
    if (madeUnder !== tag || startOf(Number(id)) === start) continue;
    removeOurs(join(parent, name));
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Nobody else can put another folder there meanwhile: it would have to be ours. */
function removeOurs(path: string): void {
  try {
    if (!isOurPrivateFolder(lstatSync(path))) return;
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Another process that starts removes it too, or it is no longer there.
  }
}

/** Whether it is a folder, and no link to one, that only this user can look into. */
export function isOurPrivateFolder(stats: Stats): boolean {
  const ours = stats.isDirectory() && stats.uid === process.getuid?.();
  return ours && (stats.mode & MODE_BITS) === PRIVATE_MODE;
}

/** Undefined for a process that does not live, and where there is no /proc. */
function startOf(processId: number): string | undefined {
  try {
    const line = readFileSync(`/proc/${processId}/stat`, 'latin1');
    // The second field is the program's name in brackets, and may hold spaces and brackets.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return fields[START_FIELD - 3];
  } catch {
    return undefined;
  }
}

/** The boot and the namespace, without which a process id says nothing. */
function machineTag(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1');
    const namespace = readlinkSync('/proc/self/ns/pid');
    return createHash('sha256').update(`${boot}${namespace}`).digest('hex').slice(0, 8);
  } catch {
    return undefined;
  }
}
