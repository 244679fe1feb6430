import { readFileSync } from 'node:fs';

/** What all processors together have spent since the machine started, in clock ticks. */
export interface MachineTime {
  readonly idleTicks: number;
  readonly allTicks: number;
}

/** Reads it from the first line of /proc/stat (proc(5)). */
export function machineTime(text = readFileSync('/proc/stat', 'utf8')): MachineTime {
  const [, ...words] = text.slice(0, text.indexOf('\n')).trim().split(/\s+/);
  // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of the first two.
  const ticks = words.slice(0, 8).map(Number);
  const [, , , idle = 0, waiting = 0] = ticks;
  return { idleTicks: idle + waiting, allTicks: ticks.reduce((sum, each) => sum + each, 0) };
}

/** The share, of 0 to 1, that they were idle for since then. */
export function idleShareSince(before: MachineTime, now = machineTime()): number {
  const ticks = now.allTicks - before.allTicks;
  return ticks === 0 ? 0 : (now.idleTicks - before.idleTicks) / ticks;
}
