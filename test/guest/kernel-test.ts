/** A test under a kernel with the nbd driver: what it is given, and what must hold after it. */
import assert from 'node:assert/strict';
import { patiently } from '../faults/patience.js';
import type { Cleanup } from '../support/cleanup.js';
import { connectedDevices } from './devices.js';
import { type GuestResult, RESULT_PREFIX } from './guest-run.js';
import { setIoFlusher } from './io-flusher.js';
import { KernelLog } from './kernel-log.js';

/** After a failure what is to be undone may wait for what is gone. */
const TIDIED_WITHIN_MS = 20_000;

export interface KernelContext extends Cleanup {
  /** Says something beside the result. */
  diagnostic(note: string): void;
  /** From now on the test makes the kernel log lines like this; all that nobody expects fail it. */
  expectKernel(...patterns: readonly RegExp[]): void;
}

export interface KernelTest {
  readonly name: string;
  /** Programs without which it is skipped. */
  readonly tools?: readonly string[];
  /** "brief": in short runs too; "long": with LONG=1 only. */
  readonly when?: 'always' | 'brief' | 'long';
  run(t: KernelContext): Promise<void>;
}

/** Runs one where there is a context already; throws why it failed. */
export async function runKernelTest(
  t: Pick<KernelContext, 'diagnostic'>,
  each: KernelTest,
): Promise<void> {
  const hooks: (() => unknown)[] = [];
  const expected: RegExp[] = [];
  const failures: unknown[] = [];
  const attempt = async (act: () => unknown): Promise<void> => {
    try {
      await act();
    } catch (error) {
      failures.push(error);
      // At once: should the guest hang on what follows, this is all that is told.
      console.error(describe(error));
    }
  };
  const before = connectedDevices();
  const log = KernelLog.fromNow();
  const unexpected: string[] = [];
  const judgeLog = () => unexpected.push(...log.takeUnexpected(expected));
  await attempt(() =>
    each.run({
      after: (hook) => hooks.push(hook as () => unknown),
      diagnostic: (note) => t.diagnostic(note),
      expectKernel: (...patterns) => {
        judgeLog();
        expected.push(...patterns);
      },
    }),
  );
  // What stands on something else goes first.
  for (const hook of hooks.reverse()) {
    await attempt(() => patiently(Promise.resolve(hook()), TIDIED_WITHIN_MS, 'it to be tidied up'));
  }
  judgeLog();
  await attempt(() => assert.deepEqual(unexpected, [], 'the kernel’s log'));
  await attempt(() => assert.deepEqual(connectedDevices(), before, 'devices left attached'));
  log.close();
  if (failures.length > 0) throw new Error(failures.map(describe).join('\n'));
}

/** Runs them one after another in the guest, and prints how each ended. */
export async function runKernelTests(tests: readonly KernelTest[]): Promise<void> {
  if (process.env.LONG !== '1') setIoFlusher(true);
  for (const each of tests) {
    const notes: string[] = [];
    const startMs = performance.now();
    let failure: string | undefined;
    try {
      await runKernelTest({ diagnostic: (note) => notes.push(note) }, each);
    } catch (error) {
      failure = describe(error);
    }
    notes.push(`${((performance.now() - startMs) / 1000).toFixed(1)} s in the guest`);
    const result: GuestResult = { name: each.name, notes, ...(failure && { failure }) };
    console.log(`${RESULT_PREFIX}${JSON.stringify(result)}`);
  }
  // Whatever a test has left behind must not keep the guest.
  process.exit();
}

function describe(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  // Node's own lines of a stack tell nothing.
  return text.replaceAll(/\n\s+at .*\(?node:internal.*/g, '');
}
