/** Payloads whose checksums another thread computes, while links come and go. */
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { processPool } from '../../wasm/hash-pool.js';
import { soon, until } from '../support/wait.js';
import { failsWith, newRemote, pattern, randomFrom, read, write } from './support.js';

const KIB = 1024;
const LARGE_BYTES = 256 * KIB;

/** Frames are smaller than this less their payload. */
const HEADER_BYTES_MAX = 200;

/** A checksum that native code never computes, and so a thread does. */
const THREADED = { checksums: ['blake2b'] } as const;

before(async () => {
  processPool.resize(1);
  await until(() => processPool.room > 0, 'the thread has started');
});
after(() => processPool.close());

/** Has the pool keep digests until they are let go. */
function holdDigests(t: TestContext): (() => void)[] {
  const letGo: (() => void)[] = [];
  t.mock.method(
    processPool,
    'digest',
    (...[digester, pieces]: Parameters<typeof processPool.digest>) => {
      if (Buffer.concat(pieces as Buffer[]).length < LARGE_BYTES) return undefined;
      const digest = digester.digest(pieces);
      return new Promise<Buffer>((resolve) => letGo.push(() => resolve(digest)));
    },
  );
  return letGo;
}

test('large writes and reads go through the thread, at both ends', async (t) => {
  const { remote, device } = await newRemote(t, { session: THREADED });
  const calls = t.mock.method(processPool, 'digest').mock;
  const bytes = pattern(3 * LARGE_BYTES, 1);
  await write(remote, 0, bytes);
  assert.ok((await read(device, 0, bytes.length)).equals(bytes));
  assert.ok((await read(remote, 0, bytes.length)).equals(bytes));
  // Three transactions each way, of which both ends hash every payload.
  assert.equal(calls.callCount(), 12);
  for (const { result } of calls.calls) assert.ok(result instanceof Promise);
});

test('damage is noticed there as well', async (t) => {
  const random = randomFrom(1);
  let flips = 0;
  const split = (bytes: Buffer): Buffer[] => {
    if (bytes.length < LARGE_BYTES || random() >= 0.3) return [bytes];
    flips++;
    const damaged = Buffer.from(bytes);
    const at = HEADER_BYTES_MAX + Math.floor(random() * (bytes.length - HEADER_BYTES_MAX));
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    return [damaged];
  };
  const { remote, device } = await newRemote(t, { network: { split }, session: THREADED });
  for (let seed = 0; seed < 10; seed++) {
    const bytes = pattern(LARGE_BYTES, seed);
    await write(remote, 0, bytes);
    assert.ok((await read(device, 0, LARGE_BYTES)).equals(bytes));
    assert.ok((await read(remote, 0, LARGE_BYTES)).equals(bytes));
  }
  assert.ok(flips > 0);
  assert.equal(remote.session.counters.corrupt, flips);
});

test('an answer whose link goes while it is looked at is dropped, and asked for again', async (t) => {
  const { remote, cluster } = await newRemote(t, { session: THREADED });
  const bytes = pattern(LARGE_BYTES, 5);
  await write(remote, 0, bytes);
  const letGo = holdDigests(t);
  const reading = read(remote, 0, LARGE_BYTES);
  await until(() => letGo.length === 1, 'the export hashes the answer');
  letGo[0]?.();
  await until(() => letGo.length === 2, 'the client looks at it');
  cluster.cut();
  await until(() => remote.session.reconnects === 1, 'the session is back');
  await until(() => letGo.length === 3, 'the export hashes the answer to the resend');
  letGo[1]?.();
  letGo[2]?.();
  await until(() => letGo.length === 4, 'the client looks at that one');
  letGo[3]?.();
  assert.ok((await soon(reading, 'the read')).equals(bytes));
  // By then a link that had been given the late answer would have failed.
  await remote.flush();
  assert.equal(remote.session.counters.resent, 1);
  assert.equal(remote.session.reconnects, 1, 'the late answer has done no harm');
});

test('a write that is hashed when the link goes is sent on the next one', async (t) => {
  const { remote, cluster, device } = await newRemote(t, { session: THREADED });
  const letGo = holdDigests(t);
  const bytes = pattern(LARGE_BYTES, 6);
  const writing = write(remote, 0, bytes);
  assert.equal(letGo.length, 1);
  cluster.cut();
  await until(() => remote.session.reconnects === 1, 'the session is back');
  assert.equal(device.commands.length, 0);
  letGo[0]?.();
  await until(() => letGo.length === 2, 'the export looks at it');
  letGo[1]?.();
  await soon(writing, 'the write');
  assert.ok((await read(device, 0, LARGE_BYTES)).equals(bytes));
});

test('a flush does not wait for writes that are not acked', async (t) => {
  const { remote } = await newRemote(t, { session: THREADED });
  const letGo = holdDigests(t);
  const writing = write(remote, 0, pattern(LARGE_BYTES, 7));
  await soon(remote.flush(), 'the flush');
  letGo[0]?.();
  await until(() => letGo.length === 2, 'the export looks at it');
  letGo[1]?.();
  await writing;
});

test('a write that is hashed when the device is closed fails', async (t) => {
  const { remote, device } = await newRemote(t, { session: THREADED });
  const letGo = holdDigests(t);
  const writing = write(remote, 0, pattern(LARGE_BYTES, 8));
  await remote.close();
  letGo[0]?.();
  await assert.rejects(writing, failsWith('DST_E_CLOSED', 'ESHUTDOWN'));
  assert.equal(device.commands.length, 0);
});

test('the number of threads changes under load', async (t) => {
  const { remote, device } = await newRemote(t, { session: THREADED });
  const bytes = pattern(4 * LARGE_BYTES, 9);
  for (const threads of [2, 0, 1]) {
    const io = [write(remote, 0, bytes), read(remote, 0, bytes.length)];
    processPool.resize(threads);
    await soon(Promise.all(io), 'the commands');
    assert.ok((await read(device, 0, bytes.length)).equals(bytes));
  }
});
