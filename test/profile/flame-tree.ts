/** Folds stacks into a tree, from the outermost frames in. */
import type { FrameKind, Stack } from './stacks.js';

export interface FlameNode {
  readonly name: string;
  readonly kind: FrameKind;
  readonly file: string;
  /** Of the samples that pass through here. */
  weightUs: number;
  readonly children: Map<string, FlameNode>;
}

/** Of what is smaller, nothing would be seen in a flame graph. */
const SHARE_MIN = 1 / 5000;

/** One tree for all threads, whose names are its first level. */
export function foldStacks(
  title: string,
  threads: Iterable<readonly [thread: string, stacks: readonly Stack[]]>,
): FlameNode {
  const root = makeNode(title, 'unknown', '');
  for (const [thread, stacks] of threads) {
    for (const { frames, weightUs } of stacks) {
      root.weightUs += weightUs;
      let node = descend(root, thread, 'unknown', 'thread');
      node.weightUs += weightUs;
      for (const { name, kind, file } of [...frames].reverse()) {
        node = descend(node, name, kind, file);
        node.weightUs += weightUs;
      }
    }
  }
  prune(root, root.weightUs * SHARE_MIN);
  return root;
}

function descend(parent: FlameNode, name: string, kind: FrameKind, file: string): FlameNode {
  const key = `${name} ${file}`;
  let node = parent.children.get(key);
  if (node === undefined) {
    node = makeNode(name, kind, file);
    parent.children.set(key, node);
  }
  return node;
}

function makeNode(name: string, kind: FrameKind, file: string): FlameNode {
  return { name, kind, file, weightUs: 0, children: new Map() };
}

function prune(node: FlameNode, weightUsMin: number): void {
  for (const [key, child] of node.children) {
    if (child.weightUs < weightUsMin) node.children.delete(key);
    else prune(child, weightUsMin);
  }
}
