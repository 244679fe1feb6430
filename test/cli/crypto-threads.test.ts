import assert from 'node:assert/strict';
import { test } from 'node:test';
import { automaticThreads, cryptoThreadsOption } from '../../src/cli/crypto-threads.js';
import { UsageError } from '../../src/cli/exit.js';
import { HASH_THREADS_MAX } from '../../src/limits.js';
import { folderWithCertificates, startExport } from './command.js';

test('auto leaves two processors to others, and takes two at most', () => {
  const threads = [1, 2, 3, 4, 64].map(automaticThreads);
  assert.deepEqual(threads, [0, 0, 1, 2, 2]);
});

test('--crypto-threads takes auto and numbers within bounds', () => {
  const parse = (text: string) => cryptoThreadsOption().parseArg?.(text, 0);
  assert.equal(parse('0'), 0);
  assert.equal(parse(`${HASH_THREADS_MAX}`), HASH_THREADS_MAX);
  assert.equal(typeof parse('auto'), 'number');
  for (const text of [`${HASH_THREADS_MAX + 1}`, '-1', '1.5', '', 'many']) {
    assert.throws(() => parse(text), UsageError, text);
  }
});

test('SIGUSR1 adds a thread and SIGUSR2 takes one away, down to none; all is logged', async (t) => {
  const folder = await folderWithCertificates(t);
  const running = await startExport(t, folder, ['memory:1M', '--crypto-threads', '1']);
  running.child.kill('SIGUSR1');
  await running.logged('"threads":2');
  running.child.kill('SIGUSR2');
  await running.logged('"threads":1');
  running.child.kill('SIGUSR2');
  await running.logged('"threads":0');
  running.child.kill('SIGUSR2');
  await running.logged('stay as they are');
  const { code, stderr } = await running.stop();
  assert.equal(code, 0);
  assert.doesNotMatch(stderr, /Debugger listening/);
});
