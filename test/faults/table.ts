/** The results as the table in docs/RELIABILITY.md. */
import type { Scenario, ScenarioResult } from './scenario.js';

const BEGIN = '<!-- Made by `make faults`; do not edit. -->';
const END = '<!-- The end of what `make faults` makes. -->';

export interface Row {
  readonly scenario: Scenario;
  /** Or why there is none. */
  readonly result: ScenarioResult | string;
}

interface Column {
  readonly title: string;
  text(result: ScenarioResult): string;
}

const COLUMNS: readonly Column[] = [
  { title: 'longest stall', text: ({ longestStallMs }) => seconds(longestStallMs) },
  { title: 'nothing ended for', text: ({ longestGapMs }) => seconds(longestGapMs) },
  { title: 'I/O back after', text: ({ longestBackMs }) => seconds(longestBackMs) },
  { title: 'resends', text: ({ resent }) => String(resent) },
  { title: 'reconnects', text: ({ reconnects }) => String(reconnects) },
  { title: 'replayed', text: ({ replayed }) => String(replayed) },
  { title: 'I/O errors', text: ({ ioErrors }) => String(ioErrors) },
  { title: 'wrong blocks', text: ({ verifyErrors }) => String(verifyErrors) },
  { title: 'memory, export', text: ({ exportPeakBytes }) => megabytes(exportPeakBytes) },
  { title: 'memory, client', text: ({ clientPeakBytes }) => megabytes(clientPeakBytes) },
];

/** A Markdown table, its columns aligned. */
export function table(rows: readonly Row[]): string {
  const cells = [
    ['fault', ...COLUMNS.map(({ title }) => title)],
    ...rows.map(({ scenario, result }) => [
      scenario.fault,
      ...COLUMNS.map((column, i) => {
        if (typeof result !== 'string') return column.text(result);
        return i === 0 ? `not run: ${result}` : '';
      }),
    ]),
  ];
  const widths = [0, ...COLUMNS.keys()].map((_, column) => widest(cells, column));
  const [head = '', ...body] = cells.map((texts) => line(texts, widths));
  return [head, rule(widths), ...body].join('\n');
}

/** The page with its made part replaced. */
export function withTable(page: string, made: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the page has no "${BEGIN}" ... "${END}"`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${made}\n\n${page.slice(end)}`;
}

function widest(cells: readonly string[][], column: number): number {
  return Math.max(...cells.map((texts) => texts[column]?.length ?? 0));
}

/** The first column is words, the others are figures. */
function rule(widths: readonly number[]): string {
  const dashes = widths.map((width, i) =>
    i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return `| ${dashes.join(' | ')} |`;
}

function line(texts: readonly string[], widths: readonly number[]): string {
  const padded = texts.map((text, i) => {
    const width = widths[i] ?? 0;
    return i === 0 ? text.padEnd(width) : text.padStart(width);
  });
  return `| ${padded.join(' | ')} |`;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? '' : `${(ms / 1000).toFixed(2)} s`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
