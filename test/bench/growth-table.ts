/** Figures as Markdown, and whether something grew or slowed. Nothing here measures. */

export type Cell = string | number;

/** A Markdown table whose numbers are on the right, for docs/PERFORMANCE.md. */
export function markdown(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const all = [head, ...rows.map((row) => row.map(shown))];
  const widths = head.map((_, at) => Math.max(3, ...all.map((row) => row[at]?.length ?? 0)));
  const isNumber = head.map((_, at) => rows.every((row) => typeof row[at] === 'number'));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => padded(cell, widths[at] ?? 0, isNumber[at] ?? false)).join(' | ')} |`;
  const rule = widths.map((width, at) =>
    isNumber[at] ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return [line(head), line(rule), ...all.slice(1).map(line)].join('\n');
}

function shown(cell: Cell): string {
  if (typeof cell === 'string') return cell;
  return Math.abs(cell) >= 10 || Number.isInteger(cell)
    ? String(Math.round(cell))
    : cell.toFixed(1);
}

function padded(cell: string, width: number, isNumber: boolean): string {
  return isNumber ? cell.padStart(width) : cell.padEnd(width);
}

/**
 * What is wrong where the last of some figures is more than `timesMax` the first and more than
 * `plusMax` above it; undefined where all is well.
 */
export function grewTooMuch(
  what: string,
  figures: readonly number[],
  { timesMax, plusMax }: { timesMax: number; plusMax: number },
): string | undefined {
  const first = figures.at(0);
  const last = figures.at(-1);
  if (first === undefined || last === undefined) return `${what}: nothing was measured`;
  if (last <= first * timesMax || last <= first + plusMax) return undefined;
  return `${what} grew from ${shown(first)} to ${shown(last)}: more than ${timesMax} times, and by more than ${plusMax}`;
}

/** The middle one; 0 of none. */
export function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
