import assert from 'node:assert/strict';
import { test } from 'node:test';
import { profileOf, sums, tables } from './report.js';
import type { Frame, Stack } from './stacks.js';

const WRITE: Frame = { name: 'write', kind: 'ours', file: 'src/block/quick-io.ts' };
const RECEIVE: Frame = { name: 'recv', kind: 'engine', file: 'QUIC engine' };

function stack(threadId: number, weightUs: number, frame: Frame): Stack {
  return { threadId, weightUs, frames: [frame] };
}

const PROFILE = profileOf('export', 7, [
  stack(7, 600, WRITE),
  stack(8, 100, RECEIVE),
  stack(9, 300, RECEIVE),
]);

test('threads that do the same are one row, the largest first', () => {
  assert.deepEqual(
    sums(PROFILE.threads, (_stack, thread) => thread),
    [
      ['event loop', 600],
      ['QUIC engine', 400],
    ],
  );
});

test('tables tell shares, and microseconds a command', () => {
  const text = tables(PROFILE, 10, 0.001);
  assert.match(
    text,
    /^export: 100\.0 us of processor time a command\. .*event loop 60 %, QUIC engine 40 %/,
  );
  assert.match(text, /\| event loop +\| +60\.0 \| +60\.0 \|/);
  assert.match(text, /\| src\/block\/quick-io\.ts +\| +60\.0 \| +60\.0 \|/);
  assert.match(text, /\| QUIC engine: the rest +\| +40\.0 \| +40\.0 \|/);
});
