import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileMappings, inheritedDescriptors } from '../../src/ops/memory-pressure.js';
import { soon } from '../support/wait.js';

const MODULE = JSON.stringify(new URL('../../src/ops/memory-pressure.js', import.meta.url));

/** Runs a process that guards its memory, as far as this machine permits, and churns then. */
async function runGuarded(t: TestContext, words: readonly string[]) {
  const script = `
    const { readFileSync, readdirSync } = await import('node:fs');
    const { guardMemory, restartAsIoFlusher } = await import(${MODULE});
    const lines = [];
    const note = (details, line) => lines.push(line);
    const log = { debug: note, info: note, warn: note, error: note };
    await restartAsIoFlusher(log);
    const before = Number(/VmRSS:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
    await guardMemory(log);
    const status = readFileSync('/proc/self/status', 'utf8');
    const kept = [];
    for (let i = 0; i < 200000; i++) kept.push({ i, text: 'text ' + i });
    kept.length = 0;
    globalThis.gc();
    const flags = readdirSync('/proc/self/task').map((task) => {
      const stat = readFileSync('/proc/self/task/' + task + '/stat', 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[7]);
    });
    console.log(JSON.stringify({
      pid: process.pid,
      words: process.argv.slice(1),
      nodeWords: process.execArgv,
      lines,
      grownKib: Number(/VmRSS:\\s*(\\d+)/.exec(status)[1]) - before,
      lockedKib: Number(/VmLck:\\s*(\\d+)/.exec(status)[1]),
      flushers: flags.filter((bits) => (bits & 0x80000) !== 0).length,
      threads: flags.length,
      score: Number(readFileSync('/proc/self/oom_score_adj', 'utf8')),
    }));`;
  const nodeWords = ['--expose-gc', '--input-type=module', '-e', script];
  const child = spawn(process.execPath, [...nodeWords, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  const ended = await soon(once(child, 'close'), 'the end of the process');
  assert.deepEqual(ended, [0, null], errors);
  return { child, told: JSON.parse(output) };
}

test('a process goes on with its memory guarded, as far as that is permitted', async (t) => {
  const { child, told } = await runGuarded(t, ['connect', 'a b']);
  assert.equal(told.pid, child.pid);
  assert.deepEqual(told.words, ['connect', 'a b']);
  assert.ok(told.grownKib < 16 * 1024, `it has grown by ${told.grownKib} KiB`);
  const all = told.flushers === told.threads;
  assert.ok(all || told.flushers === 0, `${told.flushers} of ${told.threads} threads`);
  const missing = [told.flushers === 0, told.lockedKib === 0 || told.score !== -1000];
  assert.equal(told.lines.length, missing.filter(Boolean).length, told.lines.join('; '));
});

test('standard streams and files that are named by number stay open', () => {
  const words = [
    'node',
    'connect',
    '--cert=/dev/fd/3',
    '--secret-file',
    '/proc/self/fd/14',
    '/fd/x',
  ];
  assert.deepEqual(inheritedDescriptors(words), [0, 1, 2, 3, 14]);
});

test('what has a file is locked, and nothing else', () => {
  const maps = `55d0c0000000-55d0c0002000 r--p 00000000 fe:00 131 /usr/bin/node
7f0000000000-7f0000021000 rw-p 00000000 00:00 0 
7f0000200000-7f0000201000 r-xp 00001000 fe:00 132                        /usr/lib/with space.so
7f0000300000-7f0000301000 rw-s 00000000 00:05 9                          /dev/shm/x
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
`;
  assert.deepEqual(fileMappings(maps), [
    { address: 0x55d0c0000000n, lengthBytes: 0x2000n },
    { address: 0x7f0000200000n, lengthBytes: 0x1000n },
  ]);
});
