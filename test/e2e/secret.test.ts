/** One secret on both sides, or not: by the real commands. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { NBD_CMD_WRITE } from '../../src/nbd/constants.js';
import {
  folderWithCertificates,
  messageLines,
  type Outcome,
  runCommand,
  startExport,
} from '../cli/command.js';
import { RawClient, requestHeader } from '../nbd/support.js';
import { suiteCleanup } from '../support/cleanup.js';
import { connect, readyUri } from '../support/end-to-end.js';

const SECRET = 'a secret that only this test has';
const OTHER = 'another secret, which is of no use';

const cleanup = suiteCleanup();

/** With secrets in `right` and `wrong`, and one in `open` that others can read. */
let folder: string;
/** An export that has the right secret, and one that has none. */
let guarded: Awaited<ReturnType<typeof exportOf>>;
let unguarded: Awaited<ReturnType<typeof exportOf>>;

before(async () => {
  folder = await folderWithCertificates(cleanup);
  writeFileSync(join(folder, 'right'), `${SECRET}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'wrong'), OTHER, { mode: 0o600 });
  writeFileSync(join(folder, 'open'), SECRET);
  chmodSync(join(folder, 'open'), 0o644);
  guarded = await exportOf('--secret-file', 'right');
  unguarded = await exportOf();
});

async function exportOf(...args: string[]) {
  const running = await startExport(cleanup, folder, ['disk=memory:1M', ...args]);
  const [address = ''] = running.addresses;
  return { running, address };
}

/** Runs `dst-quic info` of an export with these options besides. */
function info(t: TestContext, { address }: { address: string }, ...args: string[]) {
  return runCommand(t, ['info', address, '--cert', 'certs/ca.pem', ...args], { cwd: folder });
}

function assertRefused(outcome: Outcome, code: string): void {
  assert.equal(outcome.code, 1, outcome.stderr);
  assert.equal(outcome.stdout, '');
  const [line = '', ...more] = messageLines(outcome);
  assert.ok(line.startsWith('dst-quic: ') && line.endsWith(` (${code})`), outcome.stderr);
  assert.deepEqual(more, []);
}

function assertUnspoken({ stdout, stderr }: Outcome): void {
  for (const secret of [SECRET, OTHER]) assert.ok(!`${stdout}${stderr}`.includes(secret));
}

test('with the right secret data flows', async (t) => {
  const socketPath = join(folder, 'bridge.sock');
  const words = ['--secret-file', 'right'];
  const connecting = connect(t, folder, guarded.address, socketPath, words);
  await readyUri(connecting);
  const client = await RawClient.ready(t, socketPath);
  client.send(requestHeader(NBD_CMD_WRITE, { lengthBytes: 4096 }), Buffer.alloc(4096, 'x'));
  assert.equal((await client.takeSimpleReply()).error, 0);
  client.socket.destroy();
  const ended = await connecting.stop();
  assert.equal(ended.code, 0, ended.stderr);
  assertUnspoken(ended);
});

test('with the right secret checksums are keyed', async (t) => {
  const outcome = await info(t, guarded, '--secret-file', 'right', '--json');
  const { checksum, checksumKeyed, checksums } = JSON.parse(outcome.stdout);
  assert.deepEqual([checksum, checksumKeyed], ['blake3', true]);
  assert.deepEqual(checksums, ['blake3', 'blake2b'], 'those that can be keyed');
});

test('a wrong secret is refused, even to one that waits, and the export logs it', async (t) => {
  const words = ['--secret-file', 'wrong', '--wait'];
  const connecting = connect(t, folder, guarded.address, join(folder, 'wrong.sock'), words);
  const outcome = await connecting.outcome;
  assertRefused(outcome, 'DST_E_SECRET');
  assertUnspoken(outcome);
  await guarded.running.logged('it does not hold the secret');
});

test('without a secret a client is told that it needs one', async (t) => {
  assertRefused(await info(t, guarded), 'DST_E_SECRET_NEEDED');
});

test('a client with a secret refuses an export that does not ask for it', async (t) => {
  assertRefused(await info(t, unguarded, '--secret-file', 'right'), 'DST_E_SECRET_UNASKED');
});

test('a secret file that others can read is refused', async (t) => {
  assertRefused(await info(t, guarded, '--secret-file', 'open'), 'DST_E_SECRET_MODE');
});

test('an export never speaks its secret', async () => {
  for (const { running } of [guarded, unguarded]) assertUnspoken(await running.stop());
});
