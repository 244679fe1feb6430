/**
 * Private keys stay where their owners put them: while both ends run, no other user can read a
 * file with one in it, and nothing of them is left when they have ended, or were killed.
 */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  folderWithCertificates,
  MAIN,
  type Running,
  STATE_FOLDER_NAME,
  startProgram,
} from '../cli/command.js';
import { MIB, makeSparse } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';
import { until } from '../support/wait.js';

const OTHERS = 0o077;
const TRACED = 'openat,open,creat,mkdir,mkdirat,umask';

interface Traced extends Running {
  /** What it asked of the kernel; complete once it has ended. */
  readonly tracePath: string;
}

interface Ends {
  readonly folder: string;
  readonly temporary: string;
  readonly both: readonly Traced[];
}

/** An export and a client with keys of their own, each under strace, with one connection. */
async function startBoth(t: TestContext): Promise<Ends> {
  const folder = await folderWithCertificates(t);
  // As the system's own: others may look in.
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary, { mode: 0o755 });
  makeSparse(join(folder, 'store.img'), MIB);
  const exporting = startTraced(t, folder, 'export', [
    'disk=store.img',
    ...['--listen', '127.0.0.1:0', '--no-webtransport', '--client-ca', 'certs/ca.pem'],
  ]);
  const address = (await exporting.line(0)).replace('ready ', '');
  const connecting = startTraced(t, folder, 'connect', [
    address,
    ...['--cert', 'certs/ca.pem', '--socket', join(folder, 's')],
    ...['--client-cert', 'certs/client.pem', '--client-key', 'certs/client-key.pem'],
  ]);
  await connecting.line(0);
  return { folder, temporary, both: [connecting, exporting] };
}

/** The tracer is the grandchild, so that signals reach the command. */
function startTraced(t: TestContext, folder: string, name: string, args: string[]): Traced {
  const tracePath = join(folder, `${name}.trace`);
  const strace = ['-D', '-f', '-e', 'signal=none', '-e', `trace=${TRACED}`, '-o', tracePath];
  const words = [...strace, process.execPath, MAIN, name, ...args];
  const env = { ...process.env, TMPDIR: join(folder, 'tmp') };
  return { ...startProgram(t, 'strace', words, { cwd: folder, env }), tracePath };
}

interface Created {
  readonly path: string;
  /** As the file got it: what was asked for, less the umask. */
  readonly mode: number;
}

/** The calls of a trace, whole: a call during which another thread made one lies in two pieces. */
function callsIn(trace: string): string[] {
  const begun = new Map<string, string>();
  const calls: string[] = [];
  for (const line of trace.split('\n')) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const [, start] = /^(.*?) *<unfinished \.\.\.>$/.exec(text) ?? [];
    const [, end] = /^<\.\.\. \w+ resumed>(.*)$/.exec(text) ?? [];
    if (start !== undefined) begun.set(thread, start);
    else if (end !== undefined) calls.push(`${begun.get(thread) ?? ''}${end}`);
    else calls.push(text);
  }
  return calls;
}

/** What a process made, of files and folders, in order. */
function created({ tracePath }: Traced): Created[] {
  const made: Created[] = [];
  let umask = process.umask();
  for (const line of callsIn(readFileSync(tracePath, 'utf8'))) {
    const [, mask] = /umask\((0\d*)\) += /.exec(line) ?? [];
    if (mask !== undefined) umask = Number.parseInt(mask, 8);
    const [, path, mode] =
      /(?:openat\(AT_FDCWD, |mkdir\()"([^"]+)", (?:[A-Z_|]*O_CREAT[A-Z_|]*, )?(0\d+)\) += \d/.exec(
        line,
      ) ?? [];
    if (path === undefined || mode === undefined) continue;
    made.push({ path, mode: Number.parseInt(mode, 8) & ~umask });
  }
  return made;
}

/** Every form in which a private key may lie in a file. */
function tracesOf(keyPath: string): Buffer[] {
  const pem = readFileSync(keyPath, 'utf8');
  const key = createPrivateKey(pem);
  const { d } = key.export({ format: 'jwk' });
  assert.ok(d !== undefined);
  const base64 = pem.split('\n')[1];
  assert.ok(base64 !== undefined && base64.length > 40);
  return [Buffer.from(d, 'base64url'), Buffer.from(base64)];
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function assertNoKeys({ folder }: Ends): void {
  const certificates = join(folder, 'certs');
  const secrets = ['server-key.pem', 'client-key.pem'].flatMap((name) =>
    tracesOf(join(certificates, name)),
  );
  secrets.push(Buffer.from('PRIVATE KEY'));
  const files = filesBelow(folder).filter((path) => !path.startsWith(certificates));
  assert.ok(files.length > 0);
  for (const path of files) {
    const bytes = readFileSync(path);
    for (const secret of secrets) assert.equal(bytes.indexOf(secret), -1, `a key in ${path}`);
  }
}

/** Of what both ends keep while they run, and for later. */
function assertPrivate({ folder }: Ends): void {
  const kept = [join(folder, 's'), ...filesBelow(join(folder, STATE_FOLDER_NAME))];
  assert.ok(kept.length > 1, 'the claim was not saved');
  for (const path of kept) assert.equal(statSync(path).mode & OTHERS, 0, path);
}

async function tracesAreWhole({ both }: Ends): Promise<void> {
  // The tracer ends after what it traced.
  for (const { tracePath, child } of both) {
    const last = new RegExp(`^${child.pid} +\\+\\+\\+ (exited|killed)`, 'm');
    await until(() => last.test(readFileSync(tracePath, 'utf8')), 'the end of the trace');
  }
}

test('no file of either end can be read by others, and no key is left', {
  skip: skipWithout('strace'),
}, async (t) => {
  const ends = await startBoth(t);
  assertPrivate(ends);
  for (const running of ends.both) assert.equal((await running.stop()).code, 0);
  await tracesAreWhole(ends);
  for (const running of ends.both) {
    const made = created(running);
    const keys = made.filter(({ path }) => path.startsWith(ends.temporary) && /key/.test(path));
    assert.ok(keys.length > 0, 'the engine passes keys by files no more: what for is all this?');
    for (const { path, mode } of made) {
      assert.equal(mode & OTHERS, 0, `${path} has mode ${mode.toString(8)}`);
    }
  }
  assertNoKeys(ends);
  assert.deepEqual(readdirSync(ends.temporary), []);
});

test('no key is left by ends that are killed', { skip: skipWithout('strace') }, async (t) => {
  const ends = await startBoth(t);
  for (const running of ends.both) await running.stop('SIGKILL');
  const left = readdirSync(ends.temporary);
  assert.equal(left.length, 2, left.join());
  for (const name of left) assert.equal(statSync(join(ends.temporary, name)).mode & 0o777, 0o700);
  assertNoKeys(ends);
});
