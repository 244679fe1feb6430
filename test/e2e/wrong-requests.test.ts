/**
 * Requests that no sane client makes, with libnbd's own checks off. Each is answered with
 * the errno of the NBD specification ("Error values"), and its connection lives on.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../cli/command.js';
import { MIB, makeSparse, startPair, tool } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

const skip = skipWithout('nbdsh');

type Row = readonly [request: string, answer: string];

/** Sends the requests over one connection, after `setUp`, with a good one after each. */
async function checkAnswers(
  t: TestContext,
  uri: string,
  table: readonly Row[],
  setUp: readonly string[] = ['h.add_meta_context("base:allocation")'],
): Promise<void> {
  const code = [
    'import errno, json',
    'MIB = 1 << 20',
    'ignore = lambda *args: 0',
    ...setUp,
    'h.set_strict_mode(0)',
    `h.connect_uri(${JSON.stringify(uri)})`,
    'def ask(request):',
    '    try:',
    '        request()',
    '        return "fine"',
    '    except nbd.Error as error:',
    '        return errno.errorcode[error.errnum]',
    'answers = []',
    ...table.map(
      ([request]) =>
        `answers.append(ask(lambda: h.${request})); assert len(h.pread(512, 512)) == 512`,
    ),
    'print(json.dumps(answers))',
  ].join('\n');
  const answers = JSON.parse(await tool(t, 'nbdsh', '-c', code));
  assert.deepEqual(
    table.map(([request], index) => [request, answers[index]]),
    table,
  );
}

test('wrong requests to a writable export', { skip }, async (t) => {
  const pair = await startPair(t);
  await checkAnswers(t, pair.uri, [
    ['pread(512, 64*MIB)', 'EINVAL'],
    ['pread(1024, 64*MIB-512)', 'EINVAL'],
    ['pread(512, (1<<63)-512)', 'EINVAL'],
    ['pread(0, 0)', 'EINVAL'],
    ['pread(33*MIB, 0)', 'EOVERFLOW'],
    ['pread(513, 1)', 'fine'],
    ['pread(512, 0, nbd.CMD_FLAG_DF)', 'fine'],
    ['pread(512, 0, nbd.CMD_FLAG_REQ_ONE)', 'EINVAL'],
    ['pread(512, 0, 1 << 12)', 'EINVAL'],
    ['pwrite(bytearray(512), 64*MIB)', 'ENOSPC'],
    ['pwrite(bytearray(1024), 64*MIB-512)', 'ENOSPC'],
    ['pwrite(bytearray(0), 0)', 'EINVAL'],
    ['pwrite(bytearray(33*MIB), 0)', 'EINVAL'],
    ['pwrite(bytearray(513), 1)', 'fine'],
    ['pwrite(bytearray(512), 0, nbd.CMD_FLAG_FUA)', 'fine'],
    ['pwrite(bytearray(512), 0, nbd.CMD_FLAG_NO_HOLE)', 'EINVAL'],
    ['pwrite(bytearray(512), 0, 1 << 12)', 'EINVAL'],
    ['trim(512, 64*MIB)', 'EINVAL'],
    ['trim(0, 0)', 'EINVAL'],
    ['zero(512, 64*MIB)', 'ENOSPC'],
    ['zero(0, 0)', 'EINVAL'],
    ['zero(512, 0, nbd.CMD_FLAG_FAST_ZERO)', 'fine'],
    ['cache(512, 64*MIB)', 'EINVAL'],
    ['cache(0, 0)', 'EINVAL'],
    ['flush(nbd.CMD_FLAG_DF)', 'EINVAL'],
    ['flush()', 'fine'],
    ['block_status(512, 64*MIB, ignore)', 'EINVAL'],
    ['block_status(0, 0, ignore)', 'EINVAL'],
    ['block_status(512, 0, ignore, nbd.CMD_FLAG_DF)', 'EINVAL'],
    ['block_status(512, 0, ignore, nbd.CMD_FLAG_REQ_ONE)', 'fine'],
  ]);
  await pair.stop();
});

test('what was not negotiated is refused', { skip }, async (t) => {
  const pair = await startPair(t);
  await checkAnswers(
    t,
    pair.uri,
    [
      ['block_status(512, 0, ignore)', 'EINVAL'],
      ['pread(512, 0, nbd.CMD_FLAG_DF)', 'EINVAL'],
    ],
    ['h.set_request_structured_replies(False)'],
  );
  await pair.stop();
});

test('changes to a read-only export', { skip }, async (t) => {
  const pair = await startPair(t, { exportArgs: ['--read-only'] });
  await checkAnswers(t, pair.uri, [
    ['pwrite(bytearray(512), 0)', 'EPERM'],
    ['trim(512, 0)', 'EPERM'],
    ['zero(512, 0)', 'EPERM'],
    ['flush()', 'fine'],
    ['cache(512, 0)', 'fine'],
  ]);
  await pair.stop();
});

test('requests that are not aligned to a disk of 512-byte blocks', { skip }, async (t) => {
  const backing = join(temporaryFolder(t), 'backing');
  makeSparse(backing, 4 * MIB);
  const setUp = spawnSync('losetup', ['--find', '--show', backing], { encoding: 'utf8' });
  if (setUp.status !== 0) return t.skip(`no loop device: ${setUp.stderr ?? setUp.error}`);
  const disk = setUp.stdout.trim();
  t.after(() => spawnSync('losetup', ['--detach', disk]));
  const pair = await startPair(t, { store: disk });
  await checkAnswers(t, pair.uri, [
    ['pread(100, 0)', 'EINVAL'],
    ['pread(512, 100)', 'EINVAL'],
    ['pwrite(bytearray(512), 256)', 'EINVAL'],
    ['pwrite(bytearray(1000), 0)', 'EINVAL'],
    ['zero(1000, 0)', 'EINVAL'],
    ['block_status(512, 1, ignore)', 'EINVAL'],
    ['pwrite(bytearray(512), 512)', 'fine'],
  ]);
  await pair.stop();
});
