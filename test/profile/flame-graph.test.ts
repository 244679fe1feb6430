import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flameGraphPage } from './flame-graph.js';
import { type FlameNode, foldStacks } from './flame-tree.js';
import type { Frame, Stack } from './stacks.js';

function frame(name: string): Frame {
  return { name, kind: 'ours', file: 'src/a.ts' };
}

/** Innermost first. */
function stack(weightUs: number, ...names: readonly string[]): Stack {
  return { threadId: 1, weightUs, frames: names.map(frame) };
}

function shape({ name, weightUs, children }: FlameNode): unknown {
  return [name, weightUs, [...children.values()].map(shape)];
}

test('stacks fold from the outermost frame in, by thread', () => {
  const root = foldStacks('all', [
    ['loop', [stack(10, 'b', 'a'), stack(5, 'c', 'a'), stack(2, 'a')]],
    ['engine', [stack(3, 'a')]],
  ]);
  assert.deepEqual(shape(root), [
    'all',
    20,
    [
      [
        'loop',
        17,
        [
          [
            'a',
            17,
            [
              ['b', 10, []],
              ['c', 5, []],
            ],
          ],
        ],
      ],
      ['engine', 3, [['a', 3, []]]],
    ],
  ]);
});

test('what could not be seen is left out, and still counts above', () => {
  const root = foldStacks('all', [['loop', [stack(10_000, 'a'), stack(1, 'b')]]]);
  assert.deepEqual(shape(root), ['all', 10_001, [['loop', 10_001, [['a', 10_000, []]]]]]);
});

test('the page holds its data, and no name ends its script', () => {
  const root = foldStacks('all & <b>', [['loop', [stack(1, '</script><b>', '$& $1')]]]);
  const page = flameGraphPage(root, 'by a test');
  const json = /<script id="data" type="application\/json">(.*?)<\/script>/s.exec(page)?.[1] ?? '';
  const data = JSON.parse(json);
  assert.equal(data.title, 'all & <b>');
  assert.equal(data.note, 'by a test');
  const names = (node: [string, ...unknown[]]): unknown[] => [
    node[0],
    ...(node[4] as [string][]).flatMap(names),
  ];
  assert.deepEqual(names(data.root), ['all & <b>', 'loop', '$& $1', '</script><b>']);
});

test('the page loads nothing', () => {
  const page = flameGraphPage(foldStacks('all', []), '');
  assert.doesNotMatch(page, /\b(src|href)=|https?:|@import|url\(/);
});
