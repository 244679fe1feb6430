import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Cleanup } from './cleanup.js';
import { soon } from './wait.js';

/**
 * Runs a module's text in a process of its own, behind other words where there are some, and
 * returns what it printed. Fails where it does not end by itself, or not well.
 */
export async function runModule(
  t: Cleanup,
  script: string,
  words: readonly string[] = [],
): Promise<string> {
  const [program = '', ...rest] = [...words, process.execPath, '--input-type=module', '-e', script];
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [status] = await soon(once(child, 'close'), 'the end of the process');
  assert.equal(status, 0);
  return output.trim();
}
