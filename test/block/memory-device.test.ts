import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { BLOCK_STATUS_EXTENTS_MAX, MEMORY_STATUS_BYTES_MAX } from '../../src/limits.js';
import { dstError, MIB, pattern, readBytes, writeBytes } from './helpers.js';

test('memory reads as zeroes until it is written', async () => {
  const device = new MemoryDevice(MIB);
  assert.deepEqual(await readBytes(device, 1000, 500), Buffer.alloc(500));
});

test('memory keeps what is written across its chunks, from several pieces', async () => {
  const device = new MemoryDevice(MIB);
  const bytes = pattern(200_000);
  await writeBytes(device, 60_000, bytes.subarray(0, 7), bytes.subarray(7));
  assert.deepEqual(await readBytes(device, 60_000, bytes.length), bytes);
  assert.deepEqual(await readBytes(device, 59_999, 1), Buffer.alloc(1));
});

test('memory does not share its bytes with the writer or the reader', async () => {
  const device = new MemoryDevice(MIB);
  const bytes = pattern(100);
  await writeBytes(device, 0, bytes);
  bytes.fill(0);
  const payload = await device.read(0, 100);
  payload.pieces[0]?.fill(0);
  assert.deepEqual(await readBytes(device, 0, 100), pattern(100));
});

test('trim and write zeroes clear memory, and give whole chunks back', async () => {
  const device = new MemoryDevice(MIB);
  await writeBytes(device, 0, pattern(MIB));
  await device.trim(100, 200_000);
  await device.writeZeroes(MIB - 10, 10);
  assert.deepEqual(await readBytes(device, 100, 200_000), Buffer.alloc(200_000));
  assert.deepEqual(await readBytes(device, MIB - 10, 10), Buffer.alloc(10));
  assert.deepEqual(await readBytes(device, 0, 100), pattern(100));
  const [first, second] = await device.blockStatus(0, MIB);
  assert.deepEqual(first, { lengthBytes: 65536, hole: false, zero: false });
  assert.deepEqual(second, { lengthBytes: 131072, hole: true, zero: true });
});

test('clearing a vast sparse range is quick', async () => {
  const device = new MemoryDevice(2 ** 50);
  await writeBytes(device, 2 ** 49, pattern(10));
  await device.trim(0, 2 ** 50);
  assert.deepEqual(await readBytes(device, 2 ** 49, 10), Buffer.alloc(10));
});

test('the status of a vast range is told up to where one answer walks', async () => {
  const device = new MemoryDevice(2 ** 50);
  await writeBytes(device, 65536, pattern(10));
  assert.deepEqual(await device.blockStatus(0, 2 ** 50), [
    { lengthBytes: 65536, hole: true, zero: true },
    { lengthBytes: 65536, hole: false, zero: false },
    { lengthBytes: MEMORY_STATUS_BYTES_MAX - 2 * 65536, hole: true, zero: true },
  ]);
});

test('one answer tells of so many extents, and no more', async () => {
  const device = new MemoryDevice(64 * MIB);
  for (let at = 0; at < 64 * MIB; at += 2 * 65536) await writeBytes(device, at, pattern(1));
  const extents = await device.blockStatus(0, 64 * MIB);
  assert.equal(extents.length, BLOCK_STATUS_EXTENTS_MAX);
  assert.equal(extents.at(-1)?.hole, true);
});

test('memory refuses what is past its end, and changes when it is read-only', async () => {
  const device = new MemoryDevice(1024);
  await assert.rejects(writeBytes(device, 1020, pattern(5)), dstError('DST_E_RANGE'));
  const readOnly = new MemoryDevice(1024, { readOnly: true });
  await assert.rejects(writeBytes(readOnly, 0, pattern(5)), dstError('DST_E_READ_ONLY'));
});

test('each memory device has a verifier of its own', () => {
  const verifiers = [new MemoryDevice(512).verifier, new MemoryDevice(512).verifier];
  assert.equal(verifiers[0]?.length, 16);
  assert.notDeepEqual(verifiers[0], verifiers[1]);
});
