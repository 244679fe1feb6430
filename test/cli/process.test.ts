/** What a process of ours does around its commands: logs, threads, the service manager. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { suiteCleanup } from '../support/cleanup.js';
import { skipWithout } from '../support/tools.js';
import {
  folderWithCertificates,
  MAIN,
  messageLines,
  runCommand,
  startCommand,
  startExport,
  startProgram,
} from './command.js';

const cleanup = suiteCleanup();
let folder: string;

before(async () => {
  folder = await folderWithCertificates(cleanup);
});

const EXPORT = ['export', 'memory:1M', '--listen', '127.0.0.1:0'];

describe('the log', () => {
  test('is JSON lines where standard error is no terminal', async (t) => {
    const { stderr } = await (await startExport(t, folder, ['memory:1M'])).stop();
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const listening = lines.find(({ msg }) => msg.startsWith('listening'));
    assert.equal(listening.level, 'info');
    assert.match(listening.time, /^\d{4}-\d\d-\d\dT/);
    assert.match(lines.at(-1).msg, /^ended/);
  });

  test('is text with --log-format text', async (t) => {
    const words = ['memory:1M', '--log-format', 'text'];
    const { stderr } = await (await startExport(t, folder, words)).stop();
    assert.match(stderr, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: listening on UDP/m);
    assert.match(stderr.trimEnd().split('\n').at(-1) ?? '', /INFO: ended/);
  });

  test('is text on a terminal', { skip: skipWithout('script') }, async (t) => {
    const command = [process.execPath, MAIN, ...EXPORT].join(' ');
    // A program of util-linux that gives a command a terminal of its own, for all its output.
    const terminal = startProgram(t, 'script', ['-qec', command, '/dev/null'], { cwd: folder });
    assert.match(await terminal.line(0), /^\S*\[\d\d:\d\d:\d\d\.\d{3}\]/);
    await terminal.stop();
  });

  test('keeps to what --log-level asks for', async (t) => {
    const words = ['memory:1M', '--log-level', 'error'];
    const { stderr } = await (await startExport(t, folder, words)).stop();
    assert.equal(stderr, '');
  });

  test('an error has its stack with --log-level debug only', async (t) => {
    const words = ['export', 'missing.img'];
    const brief = await runCommand(t, words, { cwd: folder });
    assert.equal(messageLines(brief).length, 1);
    const full = await runCommand(t, [...words, '--log-level', 'debug'], { cwd: folder });
    assert.match(full.stderr, /\n +at /);
  });
});

describe('the thread pool', () => {
  function assertAbout(actual: number, expected: number): void {
    assert.ok(Math.abs(actual - expected) <= 2, `${actual} threads, not about ${expected}`);
  }

  async function threads(poolSize: string | undefined): Promise<number> {
    const env: NodeJS.ProcessEnv = { ...process.env, TMPDIR: folder };
    delete env.UV_THREADPOOL_SIZE;
    if (poolSize !== undefined) env.UV_THREADPOOL_SIZE = poolSize;
    // A file, since memory never uses the pool, which starts all its threads at its first use.
    const words = ['export', 'pool.img', '--size', '1M', '--listen', '127.0.0.1:0'];
    const exporting = startCommand(cleanup, words, { cwd: folder, env });
    await exporting.line(0);
    const { length } = readdirSync(`/proc/${exporting.child.pid}/task`);
    await exporting.stop();
    return length;
  }

  test('has 16 threads, unless the user set another number', async () => {
    const few = await threads('2');
    // Within a thread or two: V8 has some of its own, which come and go.
    assertAbout((await threads(undefined)) - few, 14);
    assertAbout((await threads('5')) - few, 3);
  });
});

describe('the service manager', { skip: skipWithout('python3') }, () => {
  /** Node has no datagrams on Unix sockets, so Python receives them. */
  const RECEIVER = `
import socket, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + path[1:] if path[0] == '@' else path)
print('bound', flush=True)
while True: print(s.recv(4096).decode(), flush=True)
`;

  for (const [kind, path] of [
    ['a path', () => join(folder, 'notify.sock')],
    ['an abstract socket', () => `@dst-quic-test-${process.pid}`],
  ] as const) {
    test(`is told by ${kind} when we are ready and when we end`, async (t) => {
      const receiver = startProgram(t, 'python3', ['-c', RECEIVER, path()]);
      await receiver.line(0);
      const env = { ...process.env, TMPDIR: folder, NOTIFY_SOCKET: path() };
      const exporting = startCommand(t, EXPORT, { cwd: folder, env });
      assert.equal(await receiver.line(1), 'READY=1');
      assert.equal((await exporting.stop()).code, 0);
      assert.equal(await receiver.line(2), 'STOPPING=1');
    });
  }

  test('that is away is worth a warning, and nothing else', async (t) => {
    for (const path of [join(folder, 'nobody.sock'), 'no-path', `/${'x'.repeat(107)}`]) {
      const env = { ...process.env, TMPDIR: folder, NOTIFY_SOCKET: path };
      const exporting = startCommand(t, EXPORT, { cwd: folder, env });
      await exporting.logged('DST_E_SERVICE_NOTIFY');
      assert.equal((await exporting.stop()).code, 0);
    }
  });
});

test('a reader that goes away does not end an export', async (t) => {
  const exporting = await startExport(t, folder, ['memory:1M']);
  exporting.child.stdout?.destroy();
  exporting.child.stderr?.destroy();
  const where = new URL(exporting.addresses[0] ?? '').host;
  const list = await runCommand(t, ['list', where, '--cert', 'certs/ca.pem'], { cwd: folder });
  assert.equal(list.code, 0, list.stderr);
  assert.equal((await exporting.stop()).code, 0);
});

test('nothing is left in the temporary folder', async (t) => {
  const env = { ...process.env, TMPDIR: join(folder, 'tmp') };
  mkdirSync(env.TMPDIR);
  const exporting = startCommand(t, EXPORT, { cwd: folder, env });
  await exporting.line(0);
  await exporting.stop();
  assert.deepEqual(readdirSync(env.TMPDIR), []);
});
