import { spawnSync } from 'node:child_process';

/**
 * `skip` for a test that needs programs which may not be there: false when all are, else
 * the reason. Where CI is set a missing program is not a reason but a failure of the set-up.
 */
export function skipWithout(...programs: string[]): string | false {
  const missing = programs.filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  );
  if (missing.length === 0) return false;
  if (process.env.CI) throw new Error(`CI must install: ${missing.join(', ')}`);
  return `not installed: ${missing.join(', ')}`;
}
