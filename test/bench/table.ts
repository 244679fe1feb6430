/** Tables that read well in a terminal and are Markdown, made a row at a time. */

export interface Column<T> {
  readonly title: string;
  /** Of texts that are as wide as they get; the title may be wider. */
  readonly width: number;
  /** Words begin at the left, figures end at the right. */
  readonly words?: boolean;
  text(row: T): string;
}

export class Table<T> {
  readonly #columns: readonly Column<T>[];

  constructor(columns: readonly Column<T>[]) {
    this.#columns = columns;
  }

  /** The titles, and the rule below them. */
  head(): string {
    const rule = this.#columns.map((column) => {
      const dashes = '-'.repeat(widthOf(column));
      return column.words === true ? dashes : `${dashes.slice(1)}:`;
    });
    return `${this.#line((column) => column.title)}\n| ${rule.join(' | ')} |`;
  }

  row(row: T): string {
    return this.#line((column) => column.text(row));
  }

  #line(text: (column: Column<T>) => string): string {
    const cells = this.#columns.map((column) => {
      const width = widthOf(column);
      return column.words === true ? text(column).padEnd(width) : text(column).padStart(width);
    });
    return `| ${cells.join(' | ')} |`;
  }
}

function widthOf({ title, width }: Pick<Column<never>, 'title' | 'width'>): number {
  return Math.max(title.length, width);
}
