import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { openDevice } from '../../src/block/open-device.js';
import { dstError, temporaryFolder } from './helpers.js';

test('memory:SIZE is a memory device', async () => {
  const device = await openDevice('memory:64M', { readOnly: true });
  assert.ok(device instanceof MemoryDevice);
  assert.equal(device.geometry.sizeBytes, 64 * 1024 * 1024);
  assert.equal(device.capabilities.readOnly, true);
});

test('memory takes one good size', async () => {
  await assert.rejects(openDevice('memory:'), dstError('DST_E_SIZE', { message: /64M/ }));
  await assert.rejects(openDevice('memory:100'), dstError('DST_E_SIZE', { message: /512/ }));
  await assert.rejects(openDevice('memory:0'), dstError('DST_E_SIZE'));
  await assert.rejects(
    openDevice('memory:1M', { sizeBytes: 512 }),
    dstError('DST_E_SIZE', { message: /leave --size out/ }),
  );
});

test('any other name is a file', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  await assert.rejects(openDevice(path), dstError('DST_E_NOT_FOUND'));
  const device = await openDevice(path, { sizeBytes: 4096 });
  t.after(() => device.close());
  assert.equal(device.description, `file ${path}`);
});
