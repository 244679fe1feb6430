import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openFileDevice } from '../../src/block/file-device.js';
import { payloadOf } from '../../src/block/payload.js';
import type { SystemCalls } from '../../src/block/system-calls.js';
import { failedWith, systemError } from '../../src/block/system-error.js';
import {
  callsWith,
  dstError,
  MIB,
  mountTmpfs,
  newFileDevice,
  pattern,
  readBytes,
  signal,
  writeBytes,
} from './helpers.js';

const O_DSYNC = 0o10000;

/** The calls of a file system that has no fallocate. */
const withoutFallocate = (): Promise<SystemCalls> =>
  callsWith(() => ({
    fallocate: () => Promise.reject(systemError('fallocate', constants.errno.EOPNOTSUPP)),
  }));

test('a full disk gives ENOSPC, and goes on when there is space again', async (t) => {
  const mounted = mountTmpfs(t, '1m');
  if ('reason' in mounted) return t.skip(mounted.reason);
  const device = await openFileDevice(join(mounted.folder, 'store'), { sizeBytes: 8 * MIB });
  t.after(() => device.close());
  const full = dstError('DST_E_NO_SPACE', {
    errno: 'ENOSPC',
    message: /store failed in write \(ENOSPC\)/,
  });
  await assert.rejects(writeBytes(device, 0, pattern(2 * MIB)), full);
  await device.trim(0, 8 * MIB, {});
  await writeBytes(device, 4 * MIB, pattern(4096));
  await device.flush();
  assert.deepEqual(await readBytes(device, 4 * MIB, 4096), pattern(4096));
});

test('writes that the kernel takes in parts are written whole', async (t) => {
  const calls = await callsWith((real) => ({
    writev: (fd, pieces, position, done) => {
      const [first = Buffer.alloc(0)] = pieces;
      real.writev(fd, [first.subarray(0, Math.ceil(first.length / 2))], position, done);
    },
  }));
  const { device } = await newFileDevice(t, { calls });
  const bytes = pattern(10_000);
  await writeBytes(device, 77, bytes.subarray(0, 3333), bytes.subarray(3333));
  assert.deepEqual(await readBytes(device, 77, 10_000), bytes);
});

test('reads that the kernel answers in parts are read whole', async (t) => {
  const calls = await callsWith((real) => ({
    read: (fd, target, targetOffset, lengthBytes, position, done) =>
      real.read(fd, target, targetOffset, Math.min(1000, lengthBytes), position, done),
  }));
  const { device } = await newFileDevice(t, { calls });
  await writeBytes(device, 0, pattern(10_000));
  assert.deepEqual(await readBytes(device, 0, 10_000), pattern(10_000));
});

test('a write that makes no progress fails', async (t) => {
  const calls = await callsWith(() => ({
    writev: (_fd, _pieces, _position, done) => setImmediate(done, null, 0),
  }));
  const { device } = await newFileDevice(t, { calls });
  await assert.rejects(writeBytes(device, 0, pattern(10)), dstError('DST_E_IO', { errno: 'EIO' }));
});

test('a broken disk gives EIO, and the device stays usable', async (t) => {
  let broken = true;
  const calls = await callsWith((real) => ({
    read: (...args) => {
      const done = args[5];
      if (broken) setImmediate(done, systemError('read', constants.errno.EIO), 0);
      else real.read(...args);
    },
  }));
  const { device } = await newFileDevice(t, { calls });
  await assert.rejects(device.read(0, 512), dstError('DST_E_IO', { errno: 'EIO' }));
  broken = false;
  assert.equal((await readBytes(device, 0, 512)).length, 512);
});

test('a FUA write goes through a descriptor that makes it durable, and no other does', async (t) => {
  const durable: boolean[] = [];
  const calls = await callsWith((real) => ({
    writev: (fd, pieces, position, done) => {
      const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
      const flags = Number.parseInt(/flags:\s+(\d+)/.exec(info)?.[1] ?? '0', 8);
      durable.push((flags & O_DSYNC) !== 0);
      real.writev(fd, pieces, position, done);
    },
  }));
  const { device } = await newFileDevice(t, { calls });
  await device.write(0, payloadOf([pattern(512)]), { fua: true });
  await device.write(0, payloadOf([pattern(512)]), {});
  assert.deepEqual(durable, [true, false]);
});

test('FUA of trim and write zeroes syncs once they are done', async (t) => {
  const order: string[] = [];
  const calls = await callsWith((real) => ({
    fallocate: async (...args) => {
      await real.fallocate(...args);
      order.push('fallocate');
    },
    fdatasync: (fd, done) => {
      order.push('fdatasync');
      real.fdatasync(fd, done);
    },
  }));
  const { device } = await newFileDevice(t, { calls });
  order.length = 0;
  await device.trim(0, 4096, { fua: true });
  await device.writeZeroes(0, 4096, { fua: true });
  await device.writeZeroes(0, 4096, {});
  assert.deepEqual(order, ['fallocate', 'fdatasync', 'fallocate', 'fdatasync', 'fallocate']);
});

test('after a failed flush the device never says again that data is durable', async (t) => {
  let failures = 1;
  const calls = await callsWith((real) => ({
    fdatasync: (fd, done) => {
      if (failures-- > 0) setImmediate(done, systemError('fdatasync', constants.errno.EIO));
      else real.fdatasync(fd, done);
    },
  }));
  const { device } = await newFileDevice(t, { calls });
  await assert.rejects(device.flush(), dstError('DST_E_IO', { errno: 'EIO' }));
  const lost = dstError('DST_E_FLUSH_LOST', { errno: 'EIO' });
  await assert.rejects(device.flush(), lost);
  await assert.rejects(device.trim(0, 512, { fua: true }), lost);
  await device.read(0, 512);
});

test('where no hole can be punched, trim does nothing and says so', async (t) => {
  const { device } = await newFileDevice(t, { calls: await withoutFallocate() });
  assert.equal(device.capabilities.trim, false);
  await writeBytes(device, 0, pattern(4096));
  await device.trim(0, 4096, {});
  assert.deepEqual(await readBytes(device, 0, 4096), pattern(4096));
});

test('where no range can be zeroed at once, zeroes are written in pieces', async (t) => {
  const { device } = await newFileDevice(t, {
    sizeBytes: 4 * MIB,
    calls: await withoutFallocate(),
  });
  await writeBytes(device, 0, pattern(4 * MIB));
  await device.writeZeroes(1000, 3 * MIB, { fua: true });
  const expected = pattern(4 * MIB).fill(0, 1000, 1000 + 3 * MIB);
  assert.ok((await readBytes(device, 0, 4 * MIB)).equals(expected));
});

test('fast zeroing fails rather than write zeroes', async (t) => {
  const { device } = await newFileDevice(t, { calls: await withoutFallocate() });
  await writeBytes(device, 0, pattern(4096));
  await assert.rejects(
    device.writeZeroes(0, 4096, { fastZero: true }),
    dstError('DST_E_UNSUPPORTED', { errno: 'ENOTSUP' }),
  );
  assert.deepEqual(await readBytes(device, 0, 4096), pattern(4096));
});

test('a failed punch is an error, not a reason to write zeroes', async (t) => {
  const calls = await callsWith(() => ({
    fallocate: () => Promise.reject(systemError('fallocate', constants.errno.EIO)),
  }));
  const { device } = await newFileDevice(t, { calls });
  await assert.rejects(device.writeZeroes(0, 4096, {}), dstError('DST_E_IO', { errno: 'EIO' }));
  await assert.rejects(device.trim(0, 4096, {}), dstError('DST_E_IO', { errno: 'EIO' }));
});

test('a file system that knows no holes has data only', async (t) => {
  const calls = await callsWith(() => ({
    lseek: () => Promise.reject(systemError('lseek', constants.errno.EINVAL)),
  }));
  const { device } = await newFileDevice(t, { calls });
  assert.deepEqual(await device.blockStatus(0, MIB), [
    { lengthBytes: MIB, hole: false, zero: false },
  ]);
});

test('errors of block status and cache are told', async (t) => {
  const calls = await callsWith(() => ({
    lseek: () => Promise.reject(systemError('lseek', constants.errno.EIO)),
    fadvise: () => Promise.reject(systemError('fadvise', constants.errno.EIO)),
  }));
  const { device } = await newFileDevice(t, { calls });
  await assert.rejects(device.blockStatus(0, MIB), dstError('DST_E_IO', { message: /lseek/ }));
  await assert.rejects(device.cache(0, MIB), dstError('DST_E_IO', { message: /fadvise/ }));
});

test('close waits for commands in flight, and only then unlocks', async (t) => {
  const gate = signal();
  const calls = await callsWith((real) => ({
    writev: (...args) => void gate.promise.then(() => real.writev(...args)),
  }));
  const { device, path } = await newFileDevice(t, { calls });
  const order: string[] = [];
  const write = writeBytes(device, 0, pattern(512)).then(() => order.push('written'));
  const close = device.close().then(() => order.push('closed'));
  await assert.rejects(openFileDevice(path), dstError('DST_E_LOCKED'));
  gate.resolve();
  await Promise.all([write, close]);
  assert.deepEqual(order, ['written', 'closed']);
  const next = await openFileDevice(path);
  t.after(() => next.close());
  assert.deepEqual(await readBytes(next, 0, 512), pattern(512));
});

test('a lock that the file system can not give is an error', async (t) => {
  const calls = await callsWith(() => ({
    flock: () => Promise.reject(systemError('flock', constants.errno.ENOLCK)),
  }));
  await assert.rejects(newFileDevice(t, { calls }), (error: Error) => {
    assert.ok(failedWith(error.cause, 'ENOLCK'));
    return dstError('DST_E_OPEN')(error);
  });
});
