/** Where and with what was measured. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { versionOf } from './programs.js';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly memoryBytes: number;
  /** Of TCP: on a line that loses packets, some are many times faster than others. */
  readonly tcpCongestionControl: string;
  readonly versions: Readonly<Record<string, string | undefined>>;
}

const TCP_CONGESTION_CONTROL = '/proc/sys/net/ipv4/tcp_congestion_control';

const ENGINE = '@currentspace/http3';

export function machine(): Machine {
  const own = versionIn('package.json');
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    memoryBytes: totalmem(),
    tcpCongestionControl: readFileSync(TCP_CONGESTION_CONTROL, 'utf8').trim(),
    versions: {
      node: process.version,
      'dst-quic': own,
      [ENGINE]: versionIn(join('node_modules', ENGINE, 'package.json')),
      nbdkit: versionOf('nbdkit'),
      'qemu-nbd': versionOf('qemu-nbd'),
      fio: versionOf('fio'),
    },
  };
}

/** The same for a person. */
export function describeMachine(machine: Machine): string {
  const { cpu, cores, kernel, memoryBytes, tcpCongestionControl, versions } = machine;
  const programs = Object.entries(versions).map(([name, version]) =>
    version?.startsWith(name) ? version : `${name} ${version ?? 'not there'}`,
  );
  const gib = (memoryBytes / 2 ** 30).toFixed(0);
  const system = `Linux ${kernel}, TCP with ${tcpCongestionControl}`;
  return `${cores} x ${cpu}, ${gib} GiB, ${system}; ${programs.join(', ')}`;
}

function versionIn(path: string): string {
  return JSON.parse(readFileSync(join(REPOSITORY_ROOT, path), 'utf8')).version;
}
