/** Who is measured, in the order of the tables. */
import type { Place } from './place.js';
import type { Process } from './processes.js';
import type { ProgramName } from './programs.js';
import type { Rig } from './rig.js';
import { startPlainNbd, startTlsNbd } from './start-nbd.js';
import { startOurs } from './start-ours.js';

/** What a contender is started with. */
export interface Setup {
  readonly rig: Rig;
  readonly place: Place;
  readonly sizeBytes: number;
  /** More words for our own commands. */
  readonly connectOptions: readonly string[];
  readonly exportOptions: readonly string[];
  /** For our own commands, whose environment may tell Node more. */
  readonly env?: NodeJS.ProcessEnv;
}

/** One that has been started: whoever connects to `uri` gets the server's storage. */
export interface Ends {
  readonly uri: string;
  readonly server: Process;
  /** None where the NBD client, so fio, connects to the server itself. */
  readonly client?: Process;
}

export interface Contender extends Ends {
  readonly name: string;
}

interface Kind {
  readonly title: string;
  readonly programs: readonly ProgramName[];
  start(setup: Setup): Promise<Ends>;
}

const KINDS = {
  'nbd-tls': {
    title: 'nbdkit nbd, TLS to qemu-nbd, a file',
    programs: ['nbdkit', 'qemu-nbd'],
    start: (setup) => startTlsNbd(setup, 'file'),
  },
  'nbd-tls-memory': {
    title: 'nbdkit nbd, TLS to nbdkit memory',
    programs: ['nbdkit'],
    start: (setup) => startTlsNbd(setup, 'memory'),
  },
  'nbd-plain': {
    title: 'qemu-nbd without encryption, a file; fio connects to it over TCP',
    programs: ['qemu-nbd'],
    start: startPlainNbd,
  },
  quic: {
    title: 'dst-quic over QUIC, a file',
    programs: [],
    start: (setup) => startOurs(setup, { id: 'quic', scheme: 'quic', store: 'file' }),
  },
  'quic-memory': {
    title: 'dst-quic over QUIC, memory',
    programs: [],
    start: (setup) => startOurs(setup, { id: 'quic-memory', scheme: 'quic', store: 'memory' }),
  },
  https: {
    title: 'dst-quic over WebTransport (HTTP/2), a file',
    programs: [],
    start: (setup) => startOurs(setup, { id: 'https', scheme: 'https', store: 'file' }),
  },
} as const satisfies Record<string, Kind>;

export type ContenderName = keyof typeof KINDS;

export const CONTENDER_NAMES = Object.keys(KINDS) as readonly ContenderName[];

/** The one that all others are compared with. */
export const BASELINE: ContenderName = 'nbd-tls';

export function titleOf(name: ContenderName): string {
  return KINDS[name].title;
}

/** What they need beside fio and ourselves. */
export function programsOf(names: readonly ContenderName[]): ProgramName[] {
  return names.flatMap((name) => [...KINDS[name].programs]);
}

/** Starts one after the other; each is ready. */
export async function startContenders(
  names: readonly ContenderName[],
  setup: Setup,
): Promise<Contender[]> {
  const started: Contender[] = [];
  for (const name of names) started.push({ name, ...(await KINDS[name].start(setup)) });
  return started;
}
