import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openFileDevice } from '../../src/block/file-device.js';
import { parseLockHolders } from '../../src/block/file-lock.js';
import type { Log } from '../../src/log.js';
import { silentLog } from '../../src/log.js';
import { skipWithout } from '../support/tools.js';
import { dstError, MIB, mountTmpfs, newFileDevice, pattern, temporaryFolder } from './helpers.js';

function recordingLog(): { log: Log; lines: unknown[] } {
  const lines: unknown[] = [];
  return { lines, log: { ...silentLog, info: (...line: unknown[]) => void lines.push(line) } };
}

test('a missing file is created sparse, for its owner alone, and that is said', async (t) => {
  const { log, lines } = recordingLog();
  const { device, path } = await newFileDevice(t, { sizeBytes: 64 * MIB, log });
  const stats = statSync(path);
  assert.equal(stats.size, 64 * MIB);
  assert.equal(stats.blocks, 0);
  assert.equal(stats.mode & 0o777, 0o600);
  assert.equal(device.geometry.sizeBytes, 64 * MIB);
  assert.equal(device.description, `file ${path}`);
  assert.match(JSON.stringify(lines), /created/);
});

test('a file tells what it is: any byte range, pages preferred, not rotational', async (t) => {
  const { device } = await newFileDevice(t);
  assert.equal(device.geometry.minimumBlockBytes, 1);
  assert.equal(device.geometry.preferredBlockBytes, 4096);
  assert.equal(device.capabilities.rotational, false);
  assert.equal(device.capabilities.readOnly, false);
  assert.equal(device.capabilities.flush, true);
});

test('an existing file needs no size, and keeps its content', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  writeFileSync(path, pattern(1024));
  const device = await openFileDevice(path);
  t.after(() => device.close());
  assert.equal(device.geometry.sizeBytes, 1024);
  assert.deepEqual(readFileSync(path), pattern(1024));
});

test('a smaller file is grown, and that is said', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  writeFileSync(path, pattern(1000));
  const { log, lines } = recordingLog();
  const device = await openFileDevice(path, { sizeBytes: 8192, log });
  t.after(() => device.close());
  assert.deepEqual(readFileSync(path), Buffer.concat([pattern(1000), Buffer.alloc(7192)]));
  assert.match(JSON.stringify(lines), /grew/);
});

test('a larger file is not cut', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  writeFileSync(path, pattern(1024));
  await assert.rejects(
    openFileDevice(path, { sizeBytes: 512 }),
    dstError('DST_E_SIZE', { message: /destroy data/ }),
  );
  assert.deepEqual(readFileSync(path), pattern(1024));
});

test('sizes that are no multiple of 512 are refused, asked for or found', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  const refused = dstError('DST_E_SIZE', { message: /not a multiple of 512: 1024 would do/ });
  await assert.rejects(openFileDevice(path, { sizeBytes: 1000 }), refused);
  assert.ok(!existsSync(path));
  writeFileSync(path, pattern(1000));
  await assert.rejects(openFileDevice(path), refused);
});

test('an empty file asks for a size', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  writeFileSync(path, '');
  await assert.rejects(openFileDevice(path), dstError('DST_E_SIZE', { message: /--size/ }));
});

test('a missing file without a size says how to create it', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  const missing = dstError('DST_E_NOT_FOUND', { message: /does not exist: give --size/ });
  await assert.rejects(openFileDevice(path), missing);
});

test('a missing file is not created read-only', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  await assert.rejects(
    openFileDevice(path, { sizeBytes: 512, readOnly: true }),
    dstError('DST_E_NOT_FOUND', { message: /check the path/ }),
  );
  assert.ok(!existsSync(path));
});

test('a file is not created in a missing directory, or through a dead link', async (t) => {
  const folder = temporaryFolder(t);
  await assert.rejects(
    openFileDevice(join(folder, 'none', 'store'), { sizeBytes: 512 }),
    dstError('DST_E_NOT_FOUND', { message: /directory does not exist/ }),
  );
  symlinkSync('nowhere', join(folder, 'link'));
  await assert.rejects(
    openFileDevice(join(folder, 'link'), { sizeBytes: 512 }),
    dstError('DST_E_OPEN'),
  );
});

test('a directory and a character device are refused', async (t) => {
  await assert.rejects(
    openFileDevice(temporaryFolder(t)),
    dstError('DST_E_NOT_A_FILE', { message: /is a directory/ }),
  );
  await assert.rejects(
    openFileDevice('/dev/null'),
    dstError('DST_E_NOT_A_FILE', { message: /neither a file nor a disk/ }),
  );
});

test('a read-only file does not grow', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  writeFileSync(path, pattern(1024));
  await assert.rejects(
    openFileDevice(path, { sizeBytes: 2048, readOnly: true }),
    dstError('DST_E_SIZE', { message: /--read-only/ }),
  );
});

test('a file that may not be written can be served read-only', async (t) => {
  const mounted = mountTmpfs(t, '1m');
  if ('reason' in mounted) return t.skip(mounted.reason);
  const path = join(mounted.folder, 'store');
  writeFileSync(path, pattern(1024));
  spawnSync('mount', ['-o', 'remount,ro', mounted.folder]);
  await assert.rejects(
    openFileDevice(path),
    dstError('DST_E_PERMISSION', { message: /EROFS.*--read-only/ }),
  );
  const device = await openFileDevice(path, { readOnly: true });
  t.after(() => device.close());
  assert.equal(device.capabilities.readOnly, true);
  await assert.rejects(
    device.writeZeroes(0, 512, {}),
    dstError('DST_E_READ_ONLY', { errno: 'EPERM' }),
  );
});

test('a size that the file system refuses leaves no file behind', async (t) => {
  const path = join(temporaryFolder(t), 'store');
  try {
    const device = await openFileDevice(path, { sizeBytes: 2 ** 52 });
    await device.close();
  } catch (error) {
    dstError('DST_E_SIZE', { message: /EFBIG.*smaller --size/ })(error);
    assert.ok(!existsSync(path));
    return;
  }
  t.skip('the file system has no limit that is low enough');
});

test('two exports cannot write the same file', async (t) => {
  const { device, path } = await newFileDevice(t);
  const locked = dstError('DST_E_LOCKED', { message: /end it first/ });
  await assert.rejects(openFileDevice(path), locked);
  await assert.rejects(openFileDevice(path, { readOnly: true }), locked);
  await device.close();
  const next = await openFileDevice(path);
  t.after(() => next.close());
});

test('several read-only exports share a file, and keep writers out', async (t) => {
  const { device, path } = await newFileDevice(t);
  await device.close();
  const readers = [
    await openFileDevice(path, { readOnly: true }),
    await openFileDevice(path, { readOnly: true }),
  ];
  t.after(() => Promise.all(readers.map((reader) => reader.close())));
  await assert.rejects(openFileDevice(path), dstError('DST_E_LOCKED'));
});

test('the lock holds against other processes', { skip: skipWithout('flock') }, async (t) => {
  const { device, path } = await newFileDevice(t);
  assert.equal(spawnSync('flock', ['-n', path, 'true']).status, 1);
  await device.close();
  assert.equal(spawnSync('flock', ['-n', path, 'true']).status, 0);
});

test('the holders of a lock are found in the list of the kernel', () => {
  const locks = [
    '1: POSIX  ADVISORY  WRITE 10 fe:00:4711 0 EOF',
    '2: FLOCK  ADVISORY  WRITE 20 fe:00:4711 0 EOF',
    '2: -> FLOCK  ADVISORY  WRITE 21 fe:00:4711 0 EOF',
    '3: FLOCK  ADVISORY  READ  30 fe:01:4711 0 EOF',
    '4: FLOCK  ADVISORY  READ  0 fe:00:4711 0 EOF',
    '5: FLOCK  ADVISORY  READ  40 fe:00:4711 0 EOF',
    '',
  ].join('\n');
  assert.deepEqual(parseLockHolders(locks, 0xfe00n, 4711n), [20, 40]);
});
