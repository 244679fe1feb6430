import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRange } from '../../src/block/check-range.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { dstError } from './helpers.js';

const device = new MemoryDevice(8192);
const readOnly = new MemoryDevice(8192, { readOnly: true });
const blocky = {
  description: 'disk',
  capabilities: device.capabilities,
  geometry: { ...device.geometry, minimumBlockBytes: 512 },
};

test('checkRange allows what lies within the device, to its last byte', () => {
  checkRange(device, 'write', 0, 8192);
  checkRange(device, 'read', 8191, 1);
  checkRange(device, 'read', 8192, 0);
});

test('checkRange answers a write past the end with ENOSPC', () => {
  const past = dstError('DST_E_RANGE', { errno: 'ENOSPC' });
  assert.throws(() => checkRange(device, 'write', 8191, 2), past);
  assert.throws(() => checkRange(device, 'write zeroes', 8192, 1), past);
});

test('checkRange answers other commands past the end with EINVAL', () => {
  const past = dstError('DST_E_RANGE', { errno: 'EINVAL' });
  assert.throws(() => checkRange(device, 'read', 8191, 2), past);
  assert.throws(() => checkRange(device, 'trim', 9000, 1), past);
  assert.throws(() => checkRange(device, 'block status', -1, 1), past);
  assert.throws(() => checkRange(device, 'cache', 0, -1), past);
});

test('checkRange answers a change of a read-only device with EPERM, before all else', () => {
  const refused = dstError('DST_E_READ_ONLY', { errno: 'EPERM' });
  assert.throws(() => checkRange(readOnly, 'write', 9000, 1), refused);
  assert.throws(() => checkRange(readOnly, 'trim', 0, 1), refused);
  assert.throws(() => checkRange(readOnly, 'write zeroes', 0, 1), refused);
  checkRange(readOnly, 'read', 0, 1);
  checkRange(readOnly, 'block status', 0, 1);
});

test('checkRange answers a misaligned command with EINVAL', () => {
  const misaligned = dstError('DST_E_ALIGNMENT', { errno: 'EINVAL' });
  checkRange(blocky, 'read', 512, 1024);
  assert.throws(() => checkRange(blocky, 'read', 100, 512), misaligned);
  assert.throws(() => checkRange(blocky, 'write', 512, 100), misaligned);
});
