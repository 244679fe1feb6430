import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CpuProfile, parseCpuProfile } from './cpu-profile.js';

const PROFILE: CpuProfile = {
  startTime: 1000,
  nodes: [
    node(1, '(root)', '', [2, 3, 4]),
    node(2, '(idle)', ''),
    node(3, 'outer', 'file:///x/dist/src/nbd/bridge.js', [5]),
    node(4, '(garbage collector)', ''),
    node(5, '', 'file:///x/dist/src/client/link.js'),
  ],
  samples: [3, 2, 5, 4, 5],
  timeDeltas: [10, 10, 10, 10, 10],
};

function node(id: number, functionName: string, url: string, children: readonly number[] = []) {
  return { id, callFrame: { functionName, url }, children };
}

test('samples of a window become stacks, and idle time is none', () => {
  const stacks = parseCpuProfile(PROFILE, { fromUs: 1015, untilUs: 1045 });
  assert.deepEqual(
    stacks.map(({ frames, weightUs }) => [frames.map(({ name, file }) => [name, file]), weightUs]),
    [
      [
        [
          ['(anonymous)', 'src/client/link.ts'],
          ['outer', 'src/nbd/bridge.ts'],
        ],
        10,
      ],
      [[['(garbage collector)', 'node']], 10],
    ],
  );
});
