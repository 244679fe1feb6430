import assert from 'node:assert/strict';
import { openSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BufferPool } from '../../src/block/buffer-pool.js';
import { DescriptorIo } from '../../src/block/descriptor-io.js';
import { openFileDevice } from '../../src/block/file-device.js';
import { FileSpace } from '../../src/block/file-space.js';
import { LocalDevice } from '../../src/block/local-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { payloadOf } from '../../src/block/payload.js';
import { systemCalls } from '../../src/block/system-calls.js';
import { systemError } from '../../src/block/system-error.js';
import { type Log, silentLog } from '../../src/log.js';
import {
  dstError,
  MIB,
  newFileDevice,
  pattern,
  readBytes,
  temporaryFolder,
  writeBytes,
} from './helpers.js';

test('a file that grew has the new size, all of which can be used', async (t) => {
  const { device, path } = await newFileDevice(t);
  await writeBytes(device, MIB - 512, pattern(512));
  truncateSync(path, 2 * MIB);
  assert.equal(device.geometry.sizeBytes, MIB, 'nobody has looked yet');
  await device.reread();
  assert.deepEqual(device.geometry, {
    sizeBytes: 2 * MIB,
    minimumBlockBytes: 1,
    preferredBlockBytes: 4096,
  });
  await writeBytes(device, 2 * MIB - 512, pattern(512, 2));
  assert.ok((await readBytes(device, MIB - 512, 512)).equals(pattern(512)));
  assert.ok((await readBytes(device, 2 * MIB - 512, 512)).equals(pattern(512, 2)));
});

test('past the end of a file that shrank, commands fail with their errno', async (t) => {
  const { device, path } = await newFileDevice(t);
  truncateSync(path, 4096);
  await device.reread();
  assert.equal(device.geometry.sizeBytes, 4096);
  const one = payloadOf([Buffer.alloc(1)]);
  const noSpace = dstError('DST_E_RANGE', { errno: 'ENOSPC' });
  const invalid = dstError('DST_E_RANGE', { errno: 'EINVAL' });
  await assert.rejects(device.write(4096, one, {}), noSpace);
  await assert.rejects(device.writeZeroes(0, 4097, {}), noSpace);
  await assert.rejects(device.read(4095, 2), invalid);
  await assert.rejects(device.trim(0, MIB, {}), invalid);
  await assert.rejects(device.blockStatus(0, MIB), invalid);
});

test('an odd size is rounded down to whole sectors, and the log says so', async (t) => {
  const warnings: unknown[] = [];
  const log: Log = { ...silentLog, warn: (details: unknown) => void warnings.push(details) };
  const { device, path } = await newFileDevice(t, { log });
  truncateSync(path, 1535);
  await device.reread();
  assert.equal(device.geometry.sizeBytes, 1024);
  assert.deepEqual(warnings, [{ actualBytes: 1535, sizeBytes: 1024 }]);
});

test('a file with less than a sector left keeps its size, and is told', async (t) => {
  const { device, path } = await newFileDevice(t);
  truncateSync(path, 511);
  await assert.rejects(device.reread(), dstError('DST_E_SIZE', { message: /^file .* is 0 bytes/ }));
  assert.equal(device.geometry.sizeBytes, MIB);
});

test('a file that is replaced under its name is not followed', async (t) => {
  const { device, path } = await newFileDevice(t);
  unlinkSync(path);
  const other = await openFileDevice(path, { sizeBytes: 2 * MIB });
  t.after(() => other.close());
  await device.reread();
  assert.equal(device.geometry.sizeBytes, MIB);
});

test('a file that cannot be looked at keeps its size, and is told by an error of ours', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  writeFileSync(path, Buffer.alloc(512));
  const fd = openSync(path, 'r');
  const io = new DescriptorIo(`file ${path}`, await systemCalls(), fd, undefined);
  const { capabilities, verifier, geometry } = new MemoryDevice(512);
  const device = new LocalDevice({
    io,
    space: new FileSpace(io),
    geometry,
    measure: () => Promise.reject(systemError('fstat', constants.errno.EIO)),
    capabilities,
    verifier,
    bufferPool: new BufferPool(),
    log: silentLog,
  });
  t.after(() => device.close());
  const failure = dstError('DST_E_IO', {
    errno: 'EIO',
    message: /^a look at the size of file .*EIO/,
  });
  await assert.rejects(device.reread(), failure);
  assert.equal(device.geometry.sizeBytes, 512);
});

test('memory keeps its size', async () => {
  const device = new MemoryDevice(MIB);
  await device.reread();
  assert.equal(device.geometry.sizeBytes, MIB);
});

test('a closed device is not looked at', async (t) => {
  const { device } = await newFileDevice(t);
  await device.close();
  await assert.rejects(device.reread(), dstError('DST_E_CLOSED'));
});
