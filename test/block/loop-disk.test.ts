import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openDevice } from '../../src/block/open-device.js';
import { payloadOf } from '../../src/block/payload.js';
import { dstError, MIB, pattern, readBytes, temporaryFolder, writeBytes } from './helpers.js';

/** A real disk, made of a file; or the reason why there is none. */
function loopDisk(t: TestContext): { disk: string; file: string } | { reason: string } {
  const file = join(temporaryFolder(t), 'backing');
  writeFileSync(file, '');
  truncateSync(file, 4 * MIB);
  const setup = spawnSync('losetup', ['--find', '--show', file], { encoding: 'utf8' });
  if (setup.status !== 0) return { reason: `no loop device: ${setup.stderr ?? setup.error}` };
  const disk = setup.stdout.trim();
  t.after(() => spawnSync('losetup', ['--detach', disk]));
  return { disk, file };
}

test('a real disk reads, writes, zeroes and trims', async (t) => {
  const loop = loopDisk(t);
  if ('reason' in loop) return t.skip(loop.reason);
  const device = await openDevice(loop.disk);
  try {
    assert.equal(device.description, `disk ${loop.disk}`);
    assert.equal(device.geometry.sizeBytes, 4 * MIB);
    assert.equal(device.geometry.minimumBlockBytes, 512);

    await writeBytes(device, 512, pattern(2 * MIB));
    await device.write(3 * MIB, payloadOf([pattern(4096)]), { fua: true });
    await device.flush();
    assert.ok((await readBytes(device, 512, 2 * MIB)).equals(pattern(2 * MIB)));
    assert.deepEqual(await readBytes(device, 3 * MIB, 4096), pattern(4096));

    const before = statSync(loop.file).blocks;
    await device.writeZeroes(0, MIB, {});
    await device.writeZeroes(3 * MIB, 4096, { noHole: true, fua: true });
    await device.trim(MIB, MIB, { fua: true });
    await device.cache(0, MIB);
    assert.deepEqual(await readBytes(device, 3 * MIB, 4096), Buffer.alloc(4096));
    assert.ok((await readBytes(device, 0, MIB)).equals(Buffer.alloc(MIB)));
    if (device.capabilities.trim) assert.ok(statSync(loop.file).blocks < before);
  } finally {
    await device.close();
  }
});

test('a real disk is opened by one only', async (t) => {
  const loop = loopDisk(t);
  if ('reason' in loop) return t.skip(loop.reason);
  const device = await openDevice(loop.disk);
  try {
    await assert.rejects(
      openDevice(loop.disk),
      dstError('DST_E_BUSY', { message: /mounted or in use/ }),
    );
  } finally {
    await device.close();
  }
  await (await openDevice(loop.disk, { readOnly: true })).close();
});
