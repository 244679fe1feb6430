import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { reloadOnHangup } from '../../src/cli/hangup.js';
import { skipWithout } from '../support/tools.js';
import { until } from '../support/wait.js';
import { folderWithCertificates, MAIN, startProgram } from './command.js';

/** What Node does when the signal comes: sending one would not keep the test waiting. */
function hangUp(): void {
  process.emit('SIGHUP', 'SIGHUP');
}

// In one test, since all share the process's signal.
test('SIGHUP reloads, once more for any number during a reload, and not after the end', async () => {
  let started = 0;
  let finish = (): void => {};
  const end = reloadOnHangup(() => {
    started += 1;
    return new Promise((resolve) => {
      finish = resolve;
    });
  });
  hangUp();
  assert.equal(started, 1);
  hangUp();
  hangUp();
  assert.equal(started, 1, 'one at a time');
  finish();
  await until(() => started === 2, 'the one that was asked for meanwhile');
  finish();
  hangUp();
  await until(() => started === 3, 'a later one');
  hangUp();
  end();
  finish();
  hangUp();
  assert.equal(started, 3);
});

describe('a terminal', { skip: skipWithout('script') }, () => {
  test('that closes ends an export that was started there', async (t) => {
    const folder = await folderWithCertificates(t);
    const words = ['export', 'memory:1M', '--listen', '127.0.0.1:0', '--log-format', 'json'];
    const command = [process.execPath, MAIN, ...words].join(' ');
    const terminal = startProgram(t, 'script', ['-qec', `exec ${command}`, '/dev/null'], {
      cwd: folder,
    });
    const pid = Number(/"pid":(\d+)/.exec(await terminal.line(0))?.[1]);
    t.after(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
    for (let index = 1; !(await terminal.line(index)).startsWith('ready '); index++);
    process.kill(pid, 'SIGHUP');
    terminal.child.kill('SIGKILL');
    await until(() => !isAlive(pid), 'the export ends');
  });
});

/** Nobody may be there to ask how it ended, which leaves a zombie (proc_pid_stat(5)). */
function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
