/** What one export costs, and how it does, with 1, 10, 100 and 1000 sessions. */
import type { SessionsResult } from './growth-job.js';
import { withExport } from './growth-processes.js';
import { grewTooMuch, markdown } from './growth-table.js';

const DEPTH = 32;

/** What the export may hold of a session that is connected and has done nothing. */
const EXPORT_KIB_PER_SESSION_MAX = 256;

/** The engine's one thread walks all its connections at each packet: some 0.3 us a session. */
const ONE_ACTIVE_CPU = { timesMax: 3, plusMax: 500 };

const HEAD = [
  'sessions',
  'connect, ms each',
  'export, MiB',
  'KiB a session',
  'threads',
  'descriptors',
  'idle CPU, %',
  'one active, /s',
  'CPU us',
  'all active, /s',
  'CPU us',
  'client, MiB',
  'threads',
];

/** Prints the table; returns what is wrong. */
export async function growSessions(quick: boolean): Promise<string[]> {
  const chosen = process.env.SESSIONS?.split(',').map(Number);
  const counts = chosen ?? (quick ? [1, 10, 100] : [1, 10, 100, 1000]);
  const results: SessionsResult[] = [];
  for (const count of counts) results.push(await withSessions(count, quick ? 1_000 : 3_000));
  console.log(`\nSessions on one export of memory, 4 KiB reads and writes, ${DEPTH} in flight:\n`);
  console.log(markdown(HEAD, results.map(row)));
  return wrongWith(results);
}

async function withSessions(sessions: number, loadMs: number): Promise<SessionsResult> {
  const args = ['--shared', '--max-sessions', '2000', '--max-connections-per-minute', '1000000'];
  return withExport(args, async (exporting) => {
    const job = { kind: 'sessions', sessions, loadMs, depth: DEPTH, blockBytes: 4096 } as const;
    for await (const result of exporting.results<SessionsResult>(job)) return result;
    throw new Error('the client measured nothing');
  });
}

function row(result: SessionsResult): number[] {
  const { sessions, connected, one, all } = result;
  return [
    sessions,
    result.connectMs,
    connected.exporting.residentMib,
    kibPerSession(result),
    connected.exporting.threads,
    connected.exporting.descriptors,
    result.idleCpuShare.exporting * 100,
    one.perSecond,
    one.exportCpuUs,
    all.perSecond,
    all.exportCpuUs,
    connected.client.residentMib,
    connected.client.threads,
  ];
}

function kibPerSession({ sessions, before, connected }: SessionsResult): number {
  const grownMib = connected.exporting.residentMib - before.exporting.residentMib;
  return (Math.max(0, grownMib) * 1024) / Math.max(1, sessions - 1);
}

function wrongWith(results: readonly SessionsResult[]): string[] {
  const wrong = [
    grewTooMuch(
      'the CPU of a command of the one active session',
      results.map(({ one }) => one.exportCpuUs),
      ONE_ACTIVE_CPU,
    ),
  ];
  // Of a few, what the process does besides would be taken for theirs.
  for (const result of results.filter(({ sessions }) => sessions >= 100)) {
    const kib = kibPerSession(result);
    if (kib <= EXPORT_KIB_PER_SESSION_MAX) continue;
    wrong.push(`each of ${result.sessions} sessions costs the export ${Math.round(kib)} KiB`);
  }
  return wrong.filter((each) => each !== undefined);
}
