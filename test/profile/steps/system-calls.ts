/** When threads of ours enter and leave the kernel, as the kernel itself notes it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { temporaryFolder } from '../../cli/command.js';
import type { Cleanup } from '../../support/cleanup.js';
import { startTool } from '../../support/end-to-end.js';
import type { Event } from './follow.js';

const TRACED = [
  'sys_enter_write',
  'sys_exit_epoll_pwait',
  'sys_exit_poll',
  'sys_enter_sendmmsg',
  'sys_exit_recvmmsg',
];

const TEXT_BYTES_MAX = 512 * 1024 * 1024;

/** "  1274  5041.123456789: syscalls:sys_enter_write: ": a thread, seconds, and the event. */
const LINE = /^\s*(\d+)\s+(\d+)\.(\d{9}):\s+syscalls:(\w+):/;

interface Traced {
  readonly threadId: number;
  readonly call: string;
  readonly atNs: number;
}

/** Whether the kernel lets us trace; without that, steps are coarser. */
export function canTrace(): boolean {
  const events = TRACED.map((name) => `syscalls:${name}`).join(',');
  const words = ['record', '--quiet', '--event', events, '--output', '/dev/null', '--', 'true'];
  return spawnSync('perf', words).status === 0;
}

/**
 * Traces processes, given with the names that their events get, for so long. The events of a
 * process's first thread are "NAME: loop CALL"; those of the one that sends packets, and so is
 * the QUIC engine's, are "NAME: quic CALL".
 */
export async function traceSystemCalls(
  t: Cleanup,
  processes: ReadonlyMap<number, string>,
  seconds: number,
): Promise<Event[]> {
  const found: Event[] = [];
  const files = new Map<number, string>();
  await Promise.all(
    [...processes.keys()].map(async (processId) => {
      const file = join(temporaryFolder(t), 'trace.data');
      files.set(processId, file);
      const { code, stderr } = await startTool(t, 'perf', [
        ...['record', '--quiet', '--clockid', 'mono', '--pid', `${processId}`],
        ...['--event', TRACED.map((name) => `syscalls:${name}`).join(','), '--output', file],
        ...['--', 'sleep', `${seconds}`],
      ]).outcome;
      if (code !== 0) throw new Error(`perf record failed: ${stderr}`);
    }),
  );
  for (const [processId, name] of processes) {
    const words = ['script', '--input', files.get(processId) ?? '', '--ns'];
    const script = spawnSync('perf', [...words, '--fields', 'tid,time,event'], {
      maxBuffer: TEXT_BYTES_MAX,
    });
    if (script.status !== 0) throw new Error(`perf script failed: ${script.stderr}`);
    found.push(...nameEvents(parseTrace(script.stdout.toString()), processId, name));
  }
  return found;
}

export function parseTrace(text: string): Traced[] {
  return text.split('\n').flatMap((line) => {
    const [, threadId, seconds, nanoseconds, call = ''] = LINE.exec(line) ?? [];
    if (threadId === undefined) return [];
    const atNs = Number(seconds) * 1e9 + Number(nanoseconds);
    return [{ threadId: Number(threadId), call: call.replace('sys_', ''), atNs }];
  });
}

export function nameEvents(traced: readonly Traced[], processId: number, name: string): Event[] {
  const sender = traced.find(({ call }) => call === 'enter_sendmmsg');
  return traced.flatMap(({ threadId, call, atNs }) => {
    if (threadId === processId) return [{ name: `${name}: loop ${call}`, atNs }];
    return threadId === sender?.threadId ? [{ name: `${name}: quic ${call}`, atNs }] : [];
  });
}
