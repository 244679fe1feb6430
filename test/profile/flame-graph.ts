/** Draws a flame graph: one HTML file that needs nothing else, not even a network. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { invariant } from '../../src/errors.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import type { FlameNode } from './flame-tree.js';
import type { FrameKind } from './stacks.js';

/** A node as the page gets it: name, file, kind, weight in microseconds, and what it called. */
export type PageNode = readonly [string, string, FrameKind, number, readonly PageNode[]];

const PAGE = join(REPOSITORY_ROOT, 'test/profile/flame-graph.html');
const NO_DATA = '<script id="data" type="application/json">{}</script>';

/** Functions of Rust and C++ with all their type parameters would fill a screen. */
const NAME_LENGTH_MAX = 160;

/** The page; `note` says how it was measured. */
export function flameGraphPage(root: FlameNode, note: string): string {
  const page = readFileSync(PAGE, 'utf8');
  invariant(page.includes(NO_DATA), 'the page has no place for its data');
  const data = { title: root.name, note, totalUs: root.weightUs, root: pageNode(root) };
  // A function's name with "</script>" in it would end the element.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  return page.replace(NO_DATA, () => NO_DATA.replace('{}', () => json));
}

function pageNode({ name, file, kind, weightUs, children }: FlameNode): PageNode {
  const short = name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name;
  const below = [...children.values()].sort((a, b) => a.name.localeCompare(b.name));
  return [short, file, kind, Math.round(weightUs), below.map(pageNode)];
}
