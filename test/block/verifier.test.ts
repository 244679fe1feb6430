import assert from 'node:assert/strict';
import { copyFileSync, renameSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { openFileDevice } from '../../src/block/file-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { localVerifier } from '../../src/block/verifier.js';
import { newFileDevice } from './helpers.js';

afterEach(() => {
  delete process.env.DST_QUIC_BOOT_ID;
});

test('a verifier is 16 bytes, and the same each time on one boot', async () => {
  const verifier = await localVerifier('file 1 2 3');
  assert.equal(verifier.length, 16);
  assert.deepEqual(await localVerifier('file 1 2 3'), verifier);
  assert.notDeepEqual(await localVerifier('file 1 2 4'), verifier);
});

test('a reboot changes the verifier', async () => {
  process.env.DST_QUIC_BOOT_ID = 'first boot';
  const before = await localVerifier('file 1 2 3');
  process.env.DST_QUIC_BOOT_ID = 'second boot';
  assert.notDeepEqual(await localVerifier('file 1 2 3'), before);
});

test('a file that is opened again keeps its verifier, written or not', async (t) => {
  const { device, path } = await newFileDevice(t);
  await device.writeZeroes(0, 4096, {});
  await device.close();
  const again = await openFileDevice(path);
  t.after(() => again.close());
  assert.deepEqual(again.verifier, device.verifier);
});

test('another file under the same name has another verifier', async (t) => {
  const { device, path } = await newFileDevice(t);
  copyFileSync(path, `${path}.copy`);
  renameSync(`${path}.copy`, path);
  const other = await openFileDevice(path);
  t.after(() => other.close());
  assert.notDeepEqual(other.verifier, device.verifier);
});

test('each memory device has a verifier of its own', () => {
  assert.notDeepEqual(new MemoryDevice(512).verifier, new MemoryDevice(512).verifier);
});
