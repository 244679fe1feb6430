/** The programs that are not ours, and what is said where one is missing. */
import { spawnSync } from 'node:child_process';

/** The Debian package of each. */
const PACKAGES = {
  fio: 'fio',
  nbdkit: 'nbdkit',
  'qemu-nbd': 'qemu-utils',
  ip: 'iproute2',
  gcc: 'gcc',
} as const;

export type ProgramName = keyof typeof PACKAGES;

/** A sentence for each program that is not there. */
export function missingPrograms(names: Iterable<ProgramName>): string[] {
  return [...new Set(names)]
    .filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0)
    .map((name) => `${name} is not installed (on Debian: apt-get install ${PACKAGES[name]})`);
}

/** Whether fio speaks NBD: distributions may build it without libnbd. */
export function fioSpeaksNbd(): boolean {
  return spawnSync('fio', ['--enghelp=nbd']).status === 0;
}

/** The first line of what a program says to --version. */
export function versionOf(name: ProgramName): string | undefined {
  const { status, stdout } = spawnSync(name, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}
