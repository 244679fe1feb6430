import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { splitDeviceNumber } from '../../src/block/device-number.js';
import { systemCalls } from '../../src/block/system-calls.js';
import { failedWith } from '../../src/block/system-error.js';
import { temporaryFolder } from './helpers.js';

const NO_DESCRIPTOR = -1;
const SEEK_END = 2;

function openedFile(t: TestContext): number {
  const path = join(temporaryFolder(t), 'file');
  writeFileSync(path, 'abc');
  const fd = openSync(path, 'r+');
  t.after(() => closeSync(fd));
  return fd;
}

test('a native call returns its result', async (t) => {
  const calls = await systemCalls();
  assert.equal(await calls.lseek(openedFile(t), 0, SEEK_END), 3);
});

test('a failed native call tells its errno, from whatever thread it ran on', async (t) => {
  const calls = await systemCalls();
  const fd = openedFile(t);
  const noIoctl = 0x1268;
  const argument = new Uint32Array(new ArrayBuffer(4));
  for (let round = 0; round < 20; round += 1) {
    await Promise.all([
      assert.rejects(calls.fallocate(NO_DESCRIPTOR, 0, 0, 1), (e) => failedWith(e, 'EBADF')),
      assert.rejects(calls.fallocate(fd, 0, -1, 1), (e) => failedWith(e, 'EINVAL')),
      assert.rejects(calls.ioctl(fd, noIoctl, argument), (e) => failedWith(e, 'ENOTTY')),
      assert.rejects(calls.fadvise(fd, 0, 1, 99), (e) => failedWith(e, 'EINVAL')),
    ]);
  }
});

test('many native calls at once wait their turn', async (t) => {
  const calls = await systemCalls();
  const fd = openedFile(t);
  const results = await Promise.all(
    Array.from({ length: 1000 }, () => calls.lseek(fd, 0, SEEK_END)),
  );
  assert.deepEqual(new Set(results), new Set([3]));
});

test('a disk attribute that is not there is undefined', async () => {
  const calls = await systemCalls();
  assert.equal(await calls.diskAttribute(0n, 'queue/rotational'), undefined);
});

test('a device number is split as the kernel joins it', () => {
  assert.deepEqual(splitDeviceNumber(0xfe01n), { major: 0xfen, minor: 1n });
  assert.deepEqual(splitDeviceNumber(0x1234_5670_089an), { major: 0x1008n, minor: 0x2345679an });
});
