import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY_ROOT } from '../support/paths.js';

export const DOCUMENT = readFileSync(join(REPOSITORY_ROOT, 'docs', 'PROTOCOL.md'), 'utf8');

/** A table row: the cells by the names of their columns, without backquotes. */
export type Row = Readonly<Record<string, string>>;

/** The text below a heading (of the second level or below it), up to the next heading of any level. */
export function section(title: string): string {
  const [, after] = DOCUMENT.split(new RegExp(`^##+ ${title}$`, 'm'));
  assert.ok(after !== undefined, `no section "${title}" in docs/PROTOCOL.md`);
  const [text = ''] = after.split(/^##+ /m);
  return text;
}

/** The table in a section whose first column has this name. */
export function table(title: string, firstColumn: string, nth = 0): Row[] {
  const blocks = section(title)
    .split(/\n(?!\|)/)
    .map((block) => block.split('\n').filter((line) => line.startsWith('|')));
  const found = blocks.filter(([first]) => first !== undefined && cells(first)[0] === firstColumn);
  const [head, , ...rows] = found[nth] ?? [];
  assert.ok(head !== undefined, `no table of "${firstColumn}" in "${title}"`);
  const names = cells(head);
  return rows.map((row) =>
    Object.fromEntries(cells(row).map((cell, index) => [names[index] ?? '', cell])),
  );
}

/** The values of one column of a table. */
export function column(rows: readonly Row[], name: string): string[] {
  return rows.map((row) => row[name] ?? '');
}

/** The byte examples: code blocks that name a fixture, with their bytes in hex. */
export function examples(): { name: string; bytes: string }[] {
  return [...DOCUMENT.matchAll(/^```\n# (.+)\.hex\n([^`]*)```$/gm)].map(([, name, lines]) => ({
    name: name ?? '',
    // Two spaces or more separate the bytes of a line from what they mean.
    bytes: (lines ?? '')
      .split('\n')
      .map((line) => line.split(/ {2,}/)[0])
      .join('')
      .replaceAll(' ', ''),
  }));
}

function cells(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''));
}
