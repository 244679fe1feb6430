/** The command within the process of its test, which spares the start of another. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { TestContext } from 'node:test';
import { run } from '../../src/cli/program.js';
import type { Outcome } from './command.js';

interface Written {
  stdout: string;
  stderr: string;
}

/** What is written outside of a command is not its output: the test runner's reports are. */
const writing = new AsyncLocalStorage<Written>();

// Each command listens for their errors, for as long as a process lives.
for (const stream of [process.stdout, process.stderr]) stream.setMaxListeners(0);

/**
 * Runs `dst-quic ARGUMENTS` to its end, in the folder that this process is in. For a command that
 * ends before it listens or connects; what it logs is no part of the outcome.
 */
export async function runInProcess(t: TestContext, args: readonly string[]): Promise<Outcome> {
  const written: Written = { stdout: '', stderr: '' };
  const { mock } = t;
  capture(t, 'stdout');
  capture(t, 'stderr');
  // Signals and uncaught errors stay the test runner's.
  mock.method(process, 'on', () => process);
  mock.method(process, 'once', () => process);
  try {
    const code = await writing.run(written, () => run(['node', 'dst-quic', ...args]));
    return { code, signal: null, ...written };
  } finally {
    mock.restoreAll();
  }
}

function capture({ mock }: TestContext, name: keyof Written): void {
  const stream = process[name];
  const write = stream.write.bind(stream);
  mock.method(stream, 'write', (...args: Parameters<typeof write>): boolean => {
    const written = writing.getStore();
    if (written === undefined) return write(...args);
    written[name] += args[0];
    return true;
  });
}
