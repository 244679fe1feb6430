/**
 * Tests that need the kernel's nbd driver. Their file is loaded twice: on the host, where it boots
 * a guest, and in the guest, where it runs the tests and tells how each ended.
 *
 * With GUEST=0 they run right here: as root, on a machine whose kernel has the driver.
 */
import { execFileSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { suiteCleanup } from '../support/cleanup.js';
import { IN_GUEST } from '../support/in-guest.js';
import { skipWithout } from '../support/tools.js';
import { GuestRun } from './guest-run.js';
import { type KernelTest, runKernelTest, runKernelTests } from './kernel-test.js';

export interface KernelSettings {
  /** Modules beside nbd, as run-in-kernel.sh takes them. */
  readonly modules?: readonly string[];
  readonly tests: readonly KernelTest[];
}

const LONG = process.env.LONG === '1';
const BRIEF = process.env.BRIEF === '1';
const DIRECT = process.env.GUEST === '0';

/** Runs the tests of this file under a kernel that has the driver; call it once, at the end. */
export function underKernel(moduleUrl: string, settings: KernelSettings): void {
  const tests = settings.tests.filter(isWanted);
  if (IN_GUEST) {
    void runKernelTests(tests.filter((each) => skipReason(each) === false));
  } else if (DIRECT) {
    runHere(settings.modules ?? [], tests);
  } else if (tests.length > 0) {
    runInGuest(fileURLToPath(moduleUrl), settings.modules ?? [], tests);
  }
}

function isWanted({ when = 'always' }: KernelTest): boolean {
  if (when === 'long') return LONG;
  return when === 'brief' || !BRIEF;
}

function runHere(modules: readonly string[], tests: readonly KernelTest[]): void {
  const skip = process.getuid?.() === 0 ? false : 'only root attaches devices';
  describe('under this kernel', { skip }, () => {
    before(() => {
      for (const module of ['nbd', ...modules]) execFileSync('modprobe', [module]);
    });
    for (const each of tests) {
      test(each.name, { skip: skipReason(each) }, (t) => runKernelTest(t, each));
    }
  });
}

function runInGuest(file: string, modules: readonly string[], tests: readonly KernelTest[]): void {
  const wanted = tests.filter((each) => skipReason(each) === false);
  const skip = wanted.length === 0 ? 'no test can run' : skipWithoutGuest();
  describe('under a real kernel', { skip }, () => {
    const guest = skip === false ? new GuestRun(suiteCleanup(), { file, modules }) : undefined;
    for (const each of tests) {
      test(each.name, { skip: skipReason(each) }, async (t) => {
        const { notes, failure } = (await guest?.result(each.name)) ?? {};
        for (const note of notes ?? []) t.diagnostic(note);
        if (failure !== undefined) throw new Error(failure);
      });
    }
    test('the guest ends well', async () => guest?.ended());
  });
}

function skipReason({ tools = [] }: KernelTest): string | false {
  return skipWithout(...tools);
}

function skipWithoutGuest(): string | false {
  if (process.arch !== 'x64') return 'user-mode-linux runs on x86-64 only';
  return skipWithout('apt-get', 'dpkg', 'taskset', 'perl', 'ip');
}
