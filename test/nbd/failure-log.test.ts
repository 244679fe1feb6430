import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../src/clock.js';
import { DstError } from '../../src/errors.js';
import { NBD_FAILURE_CODES_MAX, NBD_FAILURE_LOG_INTERVAL_MS } from '../../src/limits.js';
import type { Log } from '../../src/log.js';
import { NBD_CMD_READ } from '../../src/nbd/constants.js';
import { FailureLog } from '../../src/nbd/failure-log.js';
import type { Request } from '../../src/nbd/request.js';

const READ: Request = {
  command: NBD_CMD_READ,
  flags: 0,
  cookieHigh: 0,
  cookieLow: 1,
  offset: 512,
  lengthBytes: 4096,
};

function setUp() {
  let nowMs = 0;
  const clock: Clock = {
    nowMs: () => nowMs,
    endOfTurn: setImmediate,
    after: () => assert.fail('it needs no timer'),
  };
  const lines: { level: string; facts: Record<string, unknown>; text: string }[] = [];
  const at = (level: string) => (facts: unknown, text?: string) =>
    void lines.push({ level, facts: facts as Record<string, unknown>, text: text ?? '' });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const failures = new FailureLog(log, clock);
  return {
    lines,
    fail: (error: unknown) => failures.failed(READ, error),
    pass: (durationMs: number) => {
      nowMs += durationMs;
    },
  };
}

const EIO = new DstError('DST_E_IO', 'the disk is broken', { errno: 'EIO' });

test('a failure is told with its code, errno, command and range', () => {
  const { fail, lines } = setUp();
  fail(EIO);
  const facts = { code: 'DST_E_IO', errno: 'EIO', command: 'read', offset: 512, lengthBytes: 4096 };
  assert.deepEqual(lines, [{ level: 'warn', facts, text: 'the disk is broken' }]);
});

test('of many failures of one kind there is a line an interval, with a count', () => {
  const { fail, pass, lines } = setUp();
  for (let count = 0; count < 1000; count++) fail(EIO);
  assert.equal(lines.length, 1);
  pass(NBD_FAILURE_LOG_INTERVAL_MS);
  fail(EIO);
  assert.equal(lines.length, 2);
  assert.equal(lines[1]?.facts.unlogged, 999);
});

test('another kind of failure is told at once', () => {
  const { fail, lines } = setUp();
  fail(EIO);
  fail(new DstError('DST_E_NO_SPACE', 'the disk is full', { errno: 'ENOSPC' }));
  assert.deepEqual(
    lines.map(({ text }) => text),
    ['the disk is broken', 'the disk is full'],
  );
});

test('codes that a peer makes up cost a bounded memory', () => {
  const { fail, lines } = setUp();
  for (let count = 0; count <= NBD_FAILURE_CODES_MAX; count++) {
    fail(new DstError(`DST_E_${count}`, 'made up'));
  }
  // The table was emptied at its bound, so the first one counts as new.
  fail(new DstError('DST_E_0', 'made up'));
  assert.equal(lines.length, NBD_FAILURE_CODES_MAX + 2);
});

test('a declined fast zero is no failure', () => {
  const { fail, lines } = setUp();
  fail(new DstError('DST_E_UNSUPPORTED', 'not fast', { errno: 'ENOTSUP' }));
  assert.equal(lines[0]?.level, 'debug');
});

test('what no device may throw is an error, each time', () => {
  const { fail, lines } = setUp();
  fail(new Error('a surprise'));
  fail(new Error('a surprise'));
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['error', 'error'],
  );
});
