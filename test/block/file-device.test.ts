import assert from 'node:assert/strict';
import { readFileSync, statSync, truncateSync } from 'node:fs';
import { test } from 'node:test';
import { BufferPool } from '../../src/block/buffer-pool.js';
import { payloadOf } from '../../src/block/payload.js';
import { dstError, MIB, newFileDevice, pattern, readBytes, writeBytes } from './helpers.js';

test('what is written is read, at any offset and length, and is in the file', async (t) => {
  const { device, path } = await newFileDevice(t);
  await writeBytes(device, 12_345, pattern(54_321));
  assert.deepEqual(await readBytes(device, 12_345, 54_321), pattern(54_321));
  assert.deepEqual(readFileSync(path).subarray(12_345, 12_345 + 54_321), pattern(54_321));
});

test('a payload of more pieces than the kernel takes at once is written whole', async (t) => {
  const { device } = await newFileDevice(t);
  const bytes = pattern(3000 * 10);
  const pieces = Array.from({ length: 3000 }, (_, index) =>
    bytes.subarray(index * 10, index * 10 + 10),
  );
  await writeBytes(device, 5, ...pieces);
  assert.deepEqual(await readBytes(device, 5, bytes.length), bytes);
});

test('commands of no length do nothing', async (t) => {
  const { device } = await newFileDevice(t);
  assert.equal((await readBytes(device, 0, 0)).length, 0);
  await device.write(0, payloadOf([]), { fua: true });
  await device.trim(0, 0, {});
  await device.writeZeroes(0, 0, {});
  await device.cache(0, 0);
  assert.deepEqual(await device.blockStatus(0, 0), []);
});

test('reads take their buffers from the pool', async (t) => {
  const bufferPool = new BufferPool();
  const { device } = await newFileDevice(t, { bufferPool });
  const payload = await device.read(0, 4096);
  assert.equal(bufferPool.usedBytes, 4096);
  payload.release();
  assert.equal(bufferPool.usedBytes, 0);
});

test('a command past the end is refused', async (t) => {
  const { device } = await newFileDevice(t);
  await assert.rejects(
    writeBytes(device, MIB - 1, pattern(2)),
    dstError('DST_E_RANGE', { errno: 'ENOSPC' }),
  );
  await assert.rejects(device.read(MIB, 1), dstError('DST_E_RANGE', { errno: 'EINVAL' }));
});

test('a file that shrinks underneath gives EIO, and its missing part is no hole', async (t) => {
  const bufferPool = new BufferPool();
  const { device, path } = await newFileDevice(t, { bufferPool });
  await writeBytes(device, 0, pattern(MIB));
  truncateSync(path, 10_000);
  const shrunk = dstError('DST_E_SHRUNK', { errno: 'EIO', message: /cut it short/ });
  await assert.rejects(device.read(8192, 4096), shrunk);
  await assert.rejects(device.read(20_000, 4096), shrunk);
  assert.equal(bufferPool.usedBytes, 0);
  assert.deepEqual(await readBytes(device, 0, 10_000), pattern(MIB).subarray(0, 10_000));
  for (const extent of await device.blockStatus(0, MIB)) assert.equal(extent.zero, false);
});

test('flush and FUA succeed', async (t) => {
  const { device } = await newFileDevice(t);
  await device.write(0, payloadOf([pattern(4096)]), { fua: true });
  await Promise.all([device.flush(), device.flush(), device.flush()]);
  await device.trim(0, 4096, { fua: true });
  await device.writeZeroes(0, 4096, { fua: true, noHole: true });
});

test('trim gives blocks back', async (t) => {
  const { device, path } = await newFileDevice(t);
  if (!device.capabilities.trim) return t.skip('the file system punches no holes');
  await writeBytes(device, 0, pattern(MIB));
  await device.flush();
  const before = statSync(path).blocks;
  await device.trim(0, MIB / 2, {});
  assert.ok(statSync(path).blocks <= before - MIB / 2 / 512);
  assert.equal(statSync(path).size, MIB);
  assert.deepEqual(await readBytes(device, 0, MIB / 2), Buffer.alloc(MIB / 2));
  assert.deepEqual(
    await readBytes(device, MIB / 2, 10),
    pattern(MIB)
      .subarray(MIB / 2)
      .subarray(0, 10),
  );
});

test('write zeroes gives blocks back, unless it must not', async (t) => {
  const { device, path } = await newFileDevice(t);
  if (!device.capabilities.trim) return t.skip('the file system punches no holes');
  await writeBytes(device, 0, pattern(MIB));
  await device.flush();
  const before = statSync(path).blocks;
  await device.writeZeroes(0, MIB, { noHole: true });
  assert.deepEqual(await readBytes(device, 0, MIB), Buffer.alloc(MIB));
  assert.ok(statSync(path).blocks >= before);
  await device.writeZeroes(0, MIB, {});
  assert.ok(statSync(path).blocks < before);
});

test('write zeroes leaves its neighbours alone', async (t) => {
  const { device } = await newFileDevice(t);
  await writeBytes(device, 0, pattern(20_000));
  await device.writeZeroes(5001, 7002, {});
  await device.writeZeroes(17_001, 99, { noHole: true });
  const expected = pattern(20_000).fill(0, 5001, 12_003).fill(0, 17_001, 17_100);
  assert.deepEqual(await readBytes(device, 0, 20_000), expected);
});

test('block status tells data from holes', async (t) => {
  const { device } = await newFileDevice(t, { sizeBytes: 4 * MIB });
  await writeBytes(device, MIB, pattern(MIB));
  const extents = await device.blockStatus(0, 4 * MIB);
  if (extents[0]?.hole !== true) return t.skip('the file system knows no holes');
  assert.deepEqual(extents, [
    { lengthBytes: MIB, hole: true, zero: true },
    { lengthBytes: MIB, hole: false, zero: false },
    { lengthBytes: 2 * MIB, hole: true, zero: true },
  ]);
});

test('block status honours its range', async (t) => {
  const { device } = await newFileDevice(t, { sizeBytes: 4 * MIB });
  await writeBytes(device, MIB, pattern(MIB));
  const inData = await device.blockStatus(MIB + 1000, 5000);
  assert.deepEqual(inData, [{ lengthBytes: 5000, hole: false, zero: false }]);
  const total = (await device.blockStatus(100, 3 * MIB)).reduce((sum, e) => sum + e.lengthBytes, 0);
  assert.equal(total, 3 * MIB);
});

test('block status of a file in shreds comes in parts', async (t) => {
  const { device } = await newFileDevice(t, { sizeBytes: 64 * MIB });
  for (let index = 0; index < 200; index += 1) {
    await writeBytes(device, index * 131_072, pattern(4096));
  }
  const first = await device.blockStatus(0, 64 * MIB);
  assert.ok(first.length <= 128);
  let covered = 0;
  while (covered < 64 * MIB) {
    for (const extent of await device.blockStatus(covered, 64 * MIB - covered)) {
      assert.ok(extent.lengthBytes > 0);
      covered += extent.lengthBytes;
    }
  }
  assert.equal(covered, 64 * MIB);
});

test('cache reads ahead without complaint', async (t) => {
  const { device } = await newFileDevice(t);
  await device.cache(0, MIB);
});

test('a closed device refuses commands, and may be closed again', async (t) => {
  const { device } = await newFileDevice(t);
  await device.close();
  await device.close();
  const closed = dstError('DST_E_CLOSED', { errno: 'ESHUTDOWN' });
  await assert.rejects(device.read(0, 1), closed);
  await assert.rejects(device.flush(), closed);
});
