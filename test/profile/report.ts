/** Tables of where the time goes, in Markdown: share of the processor and time per command. */
import { nameCode, nameStep, nameThread } from './attribution.js';
import { type Stack, totalUs } from './stacks.js';

/** A process that was sampled, by the work that its threads do. */
export interface Profile {
  readonly name: string;
  readonly threads: ReadonlyMap<string, readonly Stack[]>;
}

/** Joins threads that do the same. */
export function profileOf(name: string, processId: number, stacks: readonly Stack[]): Profile {
  const byId = new Map<number, Stack[]>();
  for (const stack of stacks) {
    const own = byId.get(stack.threadId);
    if (own === undefined) byId.set(stack.threadId, [stack]);
    else own.push(stack);
  }
  const threads = new Map<string, Stack[]>();
  for (const [threadId, own] of byId) {
    const thread = nameThread(processId, threadId, own);
    threads.set(thread, [...(threads.get(thread) ?? []), ...own]);
  }
  return { name, threads };
}

/** What part of a table a sample belongs to; undefined if to none. */
type Key = (stack: Stack, thread: string) => string | undefined;

const SECTIONS: readonly (readonly [title: string, key: Key])[] = [
  ['thread', (_stack, thread) => thread],
  ['step', nameStep],
  ['kind of code', nameCode],
  [
    'our file, with what it calls',
    ({ frames }) => frames.find(({ kind }) => kind === 'ours')?.file,
  ],
];

/** Rows below this share are left out. */
const SHARE_MIN = 0.005;

/** The tables of one process that carried out so many commands in so many seconds. */
export function tables({ name, threads }: Profile, commands: number, seconds: number): string {
  const allUs = totalUs([...threads.values()].flat());
  const busy = sums(threads, (_stack, thread) => thread).map(
    ([thread, us]) => `${thread} ${((100 * us) / (seconds * 1e6)).toFixed(0)} %`,
  );
  const head =
    `${name}: ${(allUs / commands).toFixed(1)} us of processor time a command. ` +
    `Busy of the time: ${busy.join(', ')}.`;
  const parts = SECTIONS.map(([title, key]) => {
    const rows = sums(threads, key).filter(([, us]) => us / allUs >= SHARE_MIN);
    return markdown(title, rows, allUs, commands);
  });
  return [head, ...parts].join('\n\n');
}

/** Largest first. */
export function sums(threads: Profile['threads'], key: Key): [name: string, us: number][] {
  const found = new Map<string, number>();
  for (const [thread, stacks] of threads) {
    for (const stack of stacks) {
      const name = key(stack, thread);
      if (name !== undefined) found.set(name, (found.get(name) ?? 0) + stack.weightUs);
    }
  }
  return [...found].sort(([, a], [, b]) => b - a);
}

function markdown(
  title: string,
  rows: readonly (readonly [string, number])[],
  allUs: number,
  commands: number,
): string {
  const width = Math.max(title.length, ...rows.map(([name]) => name.length));
  return [
    `| ${title.padEnd(width)} | share, % | us a command |`,
    `| ${'-'.repeat(width)} | -------: | -----------: |`,
    ...rows.map(([name, us]) => {
      const share = ((100 * us) / allUs).toFixed(1);
      return `| ${name.padEnd(width)} | ${share.padStart(8)} | ${(us / commands).toFixed(1).padStart(12)} |`;
    }),
  ].join('\n');
}
