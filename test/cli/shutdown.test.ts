import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../support/wait.js';
import { startProgram, temporaryFolder } from './command.js';

/** Ends while one of its threads waits for the other end of a pipe, which never comes. */
const HANGS_IN_ITS_END = `
  import { open } from 'node:fs/promises';
  import { handleSignals } from '${new URL('../../src/cli/shutdown.js', import.meta.url)}';
  handleSignals();
  open(process.argv[1], 'r');
  setTimeout(() => {
    process.on('exit', () => console.log('ending'));
    process.exit(0);
  }, 20);`;

test('a process that hangs in its end is ended by a signal', async (t) => {
  const pipe = join(temporaryFolder(t), 'pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const words = ['--input-type=module', '--eval', HANGS_IN_ITS_END, pipe];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await until(() => {
    child.kill('SIGTERM');
    return child.signalCode !== null || child.exitCode !== null;
  }, 'the process to end');
  assert.equal(child.signalCode, 'SIGTERM');
});

/** Refuses the first signal, and takes its time with the second. */
const REFUSES_ONE = `
  import { handleSignals, stopRefused, stopRequested } from '${new URL('../../src/cli/shutdown.js', import.meta.url)}';
  handleSignals();
  const keptAlive = setInterval(() => {}, 1000);
  console.log('ready');
  await stopRequested();
  const next = stopRefused();
  console.log('refused');
  await next;
  console.log('ending');`;

test('a signal that is refused is not the last, and one that comes while it ends is', async (t) => {
  const words = ['--input-type=module', '--eval', REFUSES_ONE];
  const { child, line, outcome } = startProgram(t, process.execPath, words);
  for (const [index, text] of ['ready', 'refused', 'ending'].entries()) {
    assert.equal(await line(index), text);
    child.kill('SIGTERM');
  }
  assert.equal((await outcome).code, 1);
});
