/** A store has one writer at a time; another one is refused, takes over, or waits. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NBD_CMD_FLUSH, NBD_CMD_WRITE } from '../../src/nbd/constants.js';
import { messageLines, type Outcome } from '../cli/command.js';
import { RawClient, requestHeader } from '../nbd/support.js';
import {
  connect,
  MIB,
  nbdsh,
  type Pair,
  type PairOptions,
  readyUri,
  SCHEMES,
  startPair,
  tool,
} from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

const EIO = 5;
const BLOCK = Buffer.alloc(4096, 'one');

function connectToo(t: TestContext, pair: Pair, ...args: string[]) {
  return connect(t, pair.folder, pair.address, join(pair.folder, 'second.sock'), args);
}

/** The errno of a write of the pair's own client. */
async function write(client: RawClient): Promise<number> {
  client.send(requestHeader(NBD_CMD_WRITE, { lengthBytes: BLOCK.length }), BLOCK);
  return (await client.takeSimpleReply()).error;
}

function assertEndedFor(outcome: Outcome, code: string): void {
  assert.equal(outcome.code, 1, outcome.stderr);
  const [line = '', ...more] = messageLines(outcome);
  assert.ok(line.startsWith('dst-quic: ') && line.endsWith(` (${code})`), line);
  assert.deepEqual(more, []);
  const errors = outcome.stderr.split('\n').filter((each) => each.startsWith('{"level":"error"'));
  assert.equal(errors.length, 1, outcome.stderr);
  assert.match(errors[0] ?? '', new RegExp(`"code":"${code}"`));
}

/** A pair with an NBD client, whose export another client has taken over. */
async function takenOver(t: TestContext, options: PairOptions = {}) {
  const pair = await startPair(t, options);
  const client = await RawClient.ready(t, pair.socketPath);
  assert.equal(await write(client), 0);
  const second = connectToo(t, pair, '--takeover');
  const uri = await readyUri(second);
  await pair.connecting.logged('DST_E_TAKEN_OVER');
  return { pair, client, second, uri };
}

for (const scheme of SCHEMES) {
  test(`a second writer is refused, and told who the first is; once that has ended, it is free at once (${scheme})`, async (t) => {
    const pair = await startPair(t, { scheme });
    const refused = await connectToo(t, pair).outcome;
    assert.equal(refused.code, 1);
    assert.equal(refused.stdout, '');
    assert.match(
      messageLines(refused).join('\n'),
      /^dst-quic: 127\.0\.0\.1:\d+ writes to export "disk" since \d{4}-\d\d-\d\dT.*\(DST_E_BUSY\)$/,
    );
    const client = await RawClient.ready(t, pair.socketPath);
    assert.equal(await write(client), 0);
    client.socket.destroy();
    assert.equal((await pair.connecting.stop()).code, 0);
    const next = connectToo(t, pair);
    await readyUri(next);
    assert.equal((await next.stop()).code, 0);
    await pair.stop();
  });
}

test('a second reader is not', { skip: skipWithout('nbdinfo') }, async (t) => {
  const pair = await startPair(t);
  const second = connectToo(t, pair, '--read-only');
  assert.equal(await tool(t, 'nbdinfo', '--size', await readyUri(second)), `${64 * MIB}\n`);
  assert.equal((await second.stop()).code, 0);
  await pair.stop();
});

test('with --shared, several may write', { skip: skipWithout('nbdsh') }, async (t) => {
  const pair = await startPair(t, { exportArgs: ['--shared'] });
  const second = connectToo(t, pair);
  const uri = await readyUri(second);
  await nbdsh(t, pair.uri, 'h.pwrite(b"a" * 512, 0)', 'h.flush()');
  await nbdsh(t, uri, 'assert h.pread(512, 0) == b"a" * 512', 'h.pwrite(b"b" * 512, 0)');
  await nbdsh(t, pair.uri, 'assert h.pread(512, 0) == b"b" * 512');
  assert.equal((await second.stop()).code, 0);
  await pair.stop();
});

// It may be cut off and come back, with writes that nobody else has: only a person can tell.
test('a writer that was killed holds the store still', async (t) => {
  const pair = await startPair(t);
  await pair.connecting.stop('SIGKILL');
  const refused = await connectToo(t, pair).outcome;
  assert.match(refused.stderr, /DST_E_BUSY/);
});

test('the claim of a writer that was killed lapses with its lease', async (t) => {
  const pair = await startPair(t, {
    exportArgs: ['--lease', '2s'],
    connectArgs: ['--ping-interval', '200ms'],
  });
  await pair.connecting.stop('SIGKILL');
  const second = connectToo(t, pair, '--wait');
  await readyUri(second);
  await second.logged('DST_E_BUSY');
  assert.equal((await second.stop()).code, 0);
});

// first: writes -> taken over -> EIO, no new clients -> its last client goes -> exit 1
for (const scheme of SCHEMES) {
  test(`a takeover fences the first writer, which ends when its NBD clients have gone (${scheme})`, {
    skip: skipWithout('nbdsh'),
  }, async (t) => {
    const { pair, client, second, uri } = await takenOver(t, { scheme });
    assert.equal(await write(client), EIO);
    client.send(requestHeader(NBD_CMD_FLUSH));
    assert.equal((await client.takeSimpleReply()).error, EIO);
    assert.equal(pair.connecting.child.exitCode, null);
    await assert.rejects(RawClient.connect(t, pair.socketPath));
    client.socket.destroy();
    assertEndedFor(await pair.connecting.outcome, 'DST_E_TAKEN_OVER');
    assert.equal(existsSync(pair.socketPath), false);

    await nbdsh(t, uri, 'assert h.pread(3, 0) == b"one"', 'h.pwrite(b"two", 0)', 'h.flush()');
    assert.equal((await second.stop()).code, 0);
    assert.equal((await pair.exporting.stop()).code, 0);
  });
}

test('a client that was taken over ends at a signal too, with the same code', async (t) => {
  const { pair, client, second } = await takenOver(t);
  assertEndedFor(await pair.connecting.stop(), 'DST_E_TAKEN_OVER');
  await client.closed();
  assert.equal((await second.stop()).code, 0);
});

test('a client without NBD clients ends when it is taken over', async (t) => {
  const pair = await startPair(t);
  const second = connectToo(t, pair, '--takeover');
  await readyUri(second);
  assertEndedFor(await pair.connecting.outcome, 'DST_E_TAKEN_OVER');
  assert.equal((await second.stop()).code, 0);
});

test('a takeover where nobody writes is an ordinary start', async (t) => {
  const pair = await startPair(t, { connectArgs: ['--takeover'] });
  await pair.stop();
});
