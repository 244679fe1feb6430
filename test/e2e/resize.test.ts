/** SIGHUP makes an export look at the sizes of its stores again, while clients are connected. */
import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { NBD_ERRNO } from '../../src/errors.js';
import { NBD_CMD_READ } from '../../src/nbd/constants.js';
import { RawClient, requestHeader } from '../nbd/support.js';
import { MIB, nbdsh, type Pair, startPair, tool } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

const SMALL_BYTES = 4 * MIB;
const LARGE_BYTES = 8 * MIB;

/** Gives the pair's store another size, and waits until its client knows. */
async function resize(pair: Pair, sizeBytes: number): Promise<void> {
  truncateSync(pair.storePath, sizeBytes);
  pair.exporting.child.kill('SIGHUP');
  await pair.connecting.logged(`"sizeBytes":${sizeBytes},"wasBytes"`);
}

async function readErrno(client: RawClient, offset: number): Promise<number> {
  client.send(requestHeader(NBD_CMD_READ, { offset, lengthBytes: 512 }));
  const { error } = await client.takeSimpleReply();
  if (error === 0) await client.skip(512);
  return error;
}

async function clientOf(t: TestContext, pair: Pair): Promise<RawClient> {
  return RawClient.ready(t, pair.socketPath);
}

test('a store that has grown is larger for new NBD clients, and can be used to its end', {
  skip: skipWithout('nbdsh'),
}, async (t) => {
  const pair = await startPair(t, { sizeBytes: SMALL_BYTES });
  const early = await clientOf(t, pair);
  await resize(pair, LARGE_BYTES);
  assert.equal(await tool(t, 'nbdinfo', '--size', pair.uri), `${LARGE_BYTES}\n`);
  const end = LARGE_BYTES - 4;
  await nbdsh(t, pair.uri, `h.pwrite(b"last", ${end})`, `assert h.pread(4, ${end}) == b"last"`);
  assert.equal(await readErrno(early, 0), 0);
  assert.equal(await readErrno(early, SMALL_BYTES), NBD_ERRNO.EINVAL);
  early.socket.destroy();
  await pair.stop();
});

test('a store that has shrunk is smaller, and old clients live on', async (t) => {
  const pair = await startPair(t, { sizeBytes: LARGE_BYTES });
  const early = await clientOf(t, pair);
  await resize(pair, SMALL_BYTES);
  assert.notEqual(await readErrno(early, SMALL_BYTES), 0);
  assert.equal(await readErrno(early, 0), 0);
  const late = await clientOf(t, pair);
  assert.equal(await readErrno(late, SMALL_BYTES), NBD_ERRNO.EINVAL);
  for (const client of [early, late]) client.socket.destroy();
  await pair.stop(/past the end|smaller|DST_E_/);
});

test('SIGHUP where nothing has changed does nothing, also when the export ends', async (t) => {
  const pair = await startPair(t);
  pair.exporting.child.kill('SIGHUP');
  const client = await clientOf(t, pair);
  assert.equal(await readErrno(client, 0), 0);
  client.socket.destroy();
  assert.equal((await pair.connecting.stop()).code, 0);
  pair.exporting.child.kill('SIGTERM');
  pair.exporting.child.kill('SIGHUP');
  const { code, stderr } = await pair.exporting.outcome;
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /resized/);
});
