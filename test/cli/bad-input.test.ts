/**
 * What each wrong input is answered with: one line on standard error, the right exit code,
 * nothing on standard output and no stack trace. By the real command against real exports, but for
 * what is wrong by itself: that is answered in this process.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { EXIT } from '../../src/cli/exit.js';
import { silentLog } from '../../src/log.js';
import { listenQuic } from '../../src/transport/quic/listen.js';
import { generateCertificates } from '../../src/trust/generate.js';
import { suiteCleanup } from '../support/cleanup.js';
import { skipWithout } from '../support/tools.js';
import { BAD_INPUT, type BadInput } from './bad-input-cases.js';
import {
  folderWithCertificates,
  MAIN,
  messageLines,
  type Outcome,
  runCommand,
  startCommand,
  startExport,
  startProgram,
} from './command.js';
import { runInProcess } from './in-process.js';

/** So that a typing error in the table cannot make a case vanish. */
const CASE_COUNT = 87;

const DAY_MS = 24 * 60 * 60 * 1000;

/** Long enough for a machine that is busy, and what the issue promises besides. */
const ANSWER_TIMEOUT_MS = 10_000;
const SLACK_MS = 20_000;

/** What the cases refer to by `{name}`. */
const world = {
  /** HOST:PORT of an export of "demo", of "held", which has a writer, and of "other". */
  export: '',
  /** The same of one whose certificate is for another host, and of one whose is expired. */
  misnamed: '',
  expired: '',
  /** UDP ports where nothing listens, and where nobody answers. */
  closed: '',
  silent: '',
  /** A Unix socket that somebody listens on. */
  liveSocket: '',
  longPath: 'long/'.repeat(22),
};

const cleanup = suiteCleanup();
let folder: string;

before(async () => {
  folder = await folderWithCertificates(cleanup);
  process.chdir(folder);
  writeFileSync(join(folder, 'odd.img'), Buffer.alloc(1000));
  writeFileSync(join(folder, 'spare.img'), Buffer.alloc(4096));
  writeFileSync(join(folder, 'disk.img'), Buffer.alloc(4096));
  copyFileSync(join(folder, 'certs/server-key.pem'), join(folder, 'open-key.pem'));
  chmodSync(join(folder, 'open-key.pem'), 0o644);
  await generateCertificates({
    directory: join(folder, 'misnamed'),
    hosts: ['elsewhere.example'],
    days: 30,
  });
  await generateCertificates({
    directory: join(folder, 'expired'),
    hosts: [],
    days: 1,
    now: new Date(Date.now() - 3 * DAY_MS),
  });
  const stores = ['demo=disk.img', 'held=memory:1M', 'other=memory:1M'];
  world.export = await exportOf(...stores, '--checksum', 'blake3,sha256');
  await holdExport();
  world.misnamed = await exportOf(
    ...['demo=memory:1M', '--cert', 'misnamed/server.pem', '--key', 'misnamed/server-key.pem'],
  );
  world.expired = await expiredExport();
  world.silent = await silentPort();
  world.closed = await closedPort();
  world.liveSocket = await liveSocket();
});

test('every line of the table is understood', () => {
  assert.equal(BAD_INPUT.length, CASE_COUNT);
});

describe('input that is wrong by itself', () => {
  for (const each of BAD_INPUT.filter(isWrongByItself)) {
    test(each.name, async (t) => {
      assertAnswer(await runInProcess(t, fill(each.words)), each);
    });
  }
});

describe('input that is wrong where it is used', { concurrency: 3 }, () => {
  for (const each of BAD_INPUT.filter((other) => !isWrongByItself(other))) {
    test(each.name, async (t) => {
      const started = performance.now();
      assertAnswer(await runCommand(t, fill(each.words), { cwd: folder }), each);
      assert.ok(performance.now() - started < ANSWER_TIMEOUT_MS + SLACK_MS, 'it took too long');
    });
  }
});

const SKIP_UNLESS_ROOT = process.getuid?.() === 0 ? false : 'only root can be somebody else';

describe('files of somebody else', { skip: SKIP_UNLESS_ROOT }, () => {
  const NOBODY = 65_534;
  const options = () => ({ cwd: folder, uid: NOBODY, gid: NOBODY });
  const identity = ['--cert', 'nobody/server.pem', '--key', 'nobody/server-key.pem'];

  before(() => {
    cpSync(join(folder, 'certs'), join(folder, 'nobody'), { recursive: true });
    chownSync(join(folder, 'nobody/server-key.pem'), NOBODY, NOBODY);
    for (const path of ['', 'nobody', 'certs']) chmodSync(join(folder, path), 0o755);
    writeFileSync(join(folder, 'secret.img'), Buffer.alloc(4096));
    chmodSync(join(folder, 'secret.img'), 0o600);
    writeFileSync(join(folder, 'readonly.img'), Buffer.alloc(4096));
    chmodSync(join(folder, 'readonly.img'), 0o444);
  });

  test('a file that may not be read', async (t) => {
    const words = ['export', 'secret.img', '--read-only', ...identity];
    const outcome = await runCommand(t, words, options());
    assertOneLine(outcome, 1, 'DST_E_PERMISSION', ['secret.img may not be read']);
  });

  test('a read-only file exported for writing', async (t) => {
    const outcome = await runCommand(t, ['export', 'readonly.img', ...identity], options());
    assertOneLine(outcome, 1, 'DST_E_PERMISSION', ['may not be written', '--read-only']);
  });

  test('a key that may not be read', async (t) => {
    const outcome = await runCommand(t, ['export', 'spare.img'], options());
    assertOneLine(outcome, 1, 'DST_E_KEY_FILE', ['server-key.pem cannot be read']);
  });
});

describe('a disk that fills', () => {
  /** A limit on the size of files stands in for a full disk: Linux treats them alike. */
  const limited = (...words: string[]) => [
    '-c',
    'ulimit -f 2048; exec "$0" "$@"',
    ...[process.execPath, MAIN, ...words],
  ];

  test('when the file is created', async (t) => {
    const words = limited('export', 'new.img', '--size', '64M', '--listen', '127.0.0.1:0');
    const outcome = await startProgram(t, 'bash', words, { cwd: folder }).outcome;
    assertOneLine(outcome, 1, 'DST_E_SIZE', ['new.img cannot be given 64 MiB']);
  });

  test('when a client writes: it is told so, and the export stays', {
    skip: skipWithout('qemu-io'),
  }, async (t) => {
    const image = join(folder, 'filling.img');
    writeFileSync(image, '');
    truncateSync(image, 64 * 1024 * 1024);
    const words = limited('export', 'filling.img', '--listen', '127.0.0.1:0');
    const exporting = startProgram(t, 'bash', words, { cwd: folder });
    const address = (await exporting.line(0)).replace('ready ', '');
    const connect = ['connect', address, '--cert', 'certs/ca.pem', '--socket', 'filling.sock'];
    const connecting = startCommand(t, connect, { cwd: folder });
    const uri = (await connecting.line(0)).replace('ready ', '');

    const write = ['-f', 'raw', '-c', 'write 32M 1M', '-c', 'write 0 64k', uri];
    const client = await startProgram(t, 'qemu-io', write).outcome;
    assert.match(client.stdout + client.stderr, /No space left on device/);
    assert.match(client.stdout, /wrote 65536\/65536 bytes at offset 0/);
    assert.equal((await connecting.stop()).code, EXIT.ok);
    assert.equal((await exporting.stop()).code, EXIT.ok);
  });
});

/** Whether no peer and no path of the world's is needed to see it. */
function isWrongByItself({ words, exitCode }: BadInput): boolean {
  return exitCode === EXIT.usage || !words.includes('{');
}

/** Splits a command line into words, with the world's addresses filled in. */
function fill(words: string): string[] {
  return words
    .split(' ')
    .map((word) => word.replace(/\{(\w+)\}/, (_, name) => world[name as keyof typeof world]));
}

function assertAnswer(outcome: Outcome, { exitCode, errorCode, says }: BadInput): void {
  assertOneLine(outcome, exitCode, errorCode, says);
}

function assertOneLine(
  outcome: Outcome,
  exitCode: number,
  errorCode: string,
  says: readonly string[],
): void {
  const [line = '', ...more] = messageLines(outcome);
  assert.match(line, /^dst-quic: .+ \(DST_E_[A-Z_]+\)$/);
  let rest = line;
  for (const words of says) {
    assert.ok(rest.includes(words), `"${line}" does not say "${words}"`);
    rest = rest.slice(rest.indexOf(words) + words.length);
  }
  assert.ok(line.endsWith(` (${errorCode})`), `"${line}" is not ${errorCode}`);
  assert.deepEqual(more, [], 'more than one line');
  assert.doesNotMatch(outcome.stderr, /\n +at |\.[cj]s:\d+/, 'a stack trace');
  assert.equal(outcome.stdout, '');
  assert.equal(outcome.code, exitCode);
}

async function exportOf(...args: string[]): Promise<string> {
  const exporting = await startExport(cleanup, folder, args);
  cleanup.after(async () => {
    const { code, signal, stderr } = await exporting.stop();
    assert.equal(code, EXIT.ok, `an export did not outlive its clients (${signal}): ${stderr}`);
  });
  const [address = ''] = exporting.addresses;
  return new URL(address).host;
}

/** Starts the writer of "held". */
async function holdExport(): Promise<void> {
  const address = `${world.export}/held`;
  const words = ['connect', address, '--cert', 'certs/ca.pem', '--socket', 'held.sock'];
  const connecting = startCommand(cleanup, words, { cwd: folder });
  await connecting.line(0);
  cleanup.after(() => connecting.stop());
}

/** The command refuses to export with an expired certificate, so this is the bare listener. */
async function expiredExport(): Promise<string> {
  const certificatePem = readFileSync(join(folder, 'expired/server.pem'));
  const keyPem = readFileSync(join(folder, 'expired/server-key.pem'));
  const certificate = new X509Certificate(certificatePem);
  const identity = { certificatePem, keyPem, certificate };
  const listening = { host: '127.0.0.1', port: 0, identity, log: silentLog };
  const [listener] = await listenQuic(listening);
  assert.ok(listener);
  cleanup.after(() => listener.close());
  return `127.0.0.1:${listener.address.port}`;
}

async function silentPort(): Promise<string> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  cleanup.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

async function closedPort(): Promise<string> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return `127.0.0.1:${port}`;
}

async function liveSocket(): Promise<string> {
  const path = join(folder, 'live.sock');
  const server = createServer().listen(path);
  await once(server, 'listening');
  cleanup.after(() => server.close());
  return path;
}
