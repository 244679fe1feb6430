import { after, type TestContext } from 'node:test';

/** Where to leave what must be undone: a test's context, or `Cleanups` outside of tests. */
export type Cleanup = Pick<TestContext, 'after'>;

type Hook = Parameters<Cleanup['after']>[0];

/** What a test's context does for its test, for a program. */
export class Cleanups implements Cleanup {
  readonly #hooks: (() => unknown)[] = [];

  after(hook?: Hook): void {
    if (hook !== undefined) this.#hooks.push(hook as () => unknown);
  }

  /** Undoes everything, in the order in which tests do. */
  async run(): Promise<void> {
    for (const hook of this.#hooks.splice(0)) await hook();
  }
}

/** What the tests of a file share, undone after the last of them: what was made last comes first. */
export function suiteCleanup(): Cleanup {
  const hooks: (() => unknown)[] = [];
  after(async () => {
    for (const hook of hooks.reverse()) await hook();
  });
  return {
    after(hook?: Hook): void {
      if (hook !== undefined) hooks.push(hook as () => unknown);
    },
  };
}
