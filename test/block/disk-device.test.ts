import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { BlockDevice } from '../../src/block/device.js';
import { openDiskDevice } from '../../src/block/disk-device.js';
import type { SystemCalls } from '../../src/block/system-calls.js';
import { systemError } from '../../src/block/system-error.js';
import {
  callsWith,
  dstError,
  MIB,
  pattern,
  readBytes,
  temporaryFolder,
  writeBytes,
} from './helpers.js';

const BLKGETSIZE64 = 0x80081272;
const BLKSSZGET = 0x1268;
const BLKPBSZGET = 0x127b;
const BLKDISCARD = 0x1277;
const BLKZEROOUT = 0x127f;

interface FakeDisk {
  readonly sizeBytes?: number;
  readonly attributes?: Record<string, string>;
  readonly punches?: boolean;
  readonly discards?: boolean;
}

/**
 * A disk that is not there: a file answers reads and writes, and the ioctls are answered
 * here, each noted as [what, offset, length].
 */
async function fakeDisk(
  t: TestContext,
  disk: FakeDisk,
): Promise<{
  device: BlockDevice;
  done: [string, number, number][];
  resize: (sizeBytes: number) => void;
}> {
  const path = join(temporaryFolder(t), 'disk');
  writeFileSync(path, pattern(MIB));
  const done: [string, number, number][] = [];
  const values = new Map([
    [BLKGETSIZE64, BigInt(disk.sizeBytes ?? MIB)],
    [BLKSSZGET, 512n],
    [BLKPBSZGET, 8192n],
  ]);
  const unsupported = () => systemError('ioctl', constants.errno.EOPNOTSUPP);
  const ioctl: SystemCalls['ioctl'] = async (_fd, request, argument) => {
    const value = values.get(request);
    if (value !== undefined) {
      if (argument instanceof BigUint64Array) argument[0] = value;
      else argument[0] = Number(value);
      return;
    }
    if (request === BLKDISCARD && disk.discards === false) throw unsupported();
    const name = request === BLKDISCARD ? 'discard' : request === BLKZEROOUT ? 'zero' : 'unknown';
    done.push([name, Number(argument[0]), Number(argument[1])]);
  };
  const calls = await callsWith(() => ({
    ioctl,
    fallocate: async (_fd, _mode, offset, lengthBytes) => {
      if (disk.punches !== true) throw unsupported();
      done.push(['punch', offset, lengthBytes]);
    },
    diskAttribute: async (_number, name) => disk.attributes?.[name],
  }));
  const device = await openDiskDevice(path, { calls });
  t.after(() => device.close());
  const resize = (sizeBytes: number) => void values.set(BLKGETSIZE64, BigInt(sizeBytes));
  return { device, done, resize };
}

test('a disk tells its size, its blocks and what it is', async (t) => {
  const { device } = await fakeDisk(t, {
    attributes: { 'queue/rotational': '1', 'queue/discard_max_bytes': '4096' },
  });
  assert.deepEqual(device.geometry, {
    sizeBytes: MIB,
    minimumBlockBytes: 512,
    preferredBlockBytes: 8192,
  });
  assert.equal(device.capabilities.rotational, true);
  assert.equal(device.capabilities.trim, true);
  assert.equal(device.capabilities.blockStatus, false);
});

test('a disk without attributes neither turns nor discards', async (t) => {
  const { device } = await fakeDisk(t, {});
  assert.equal(device.capabilities.rotational, false);
  assert.equal(device.capabilities.trim, false);
});

test('a disk without a medium is refused', async (t) => {
  await assert.rejects(
    fakeDisk(t, { sizeBytes: 0 }),
    dstError('DST_E_SIZE', { message: /medium/ }),
  );
});

test('a disk takes no size', async () => {
  await assert.rejects(
    openDiskDevice('/dev/none', { sizeBytes: 512 }),
    dstError('DST_E_SIZE', { message: /its own size/ }),
  );
});

test('a disk that is not there is not found', async () => {
  await assert.rejects(openDiskDevice('/dev/none'), dstError('DST_E_NOT_FOUND'));
});

test('what answers no disk ioctl is no disk', async (t) => {
  const path = join(temporaryFolder(t), 'file');
  writeFileSync(path, pattern(512));
  await assert.rejects(openDiskDevice(path), dstError('DST_E_OPEN', { message: /ENOTTY/ }));
});

test('a disk reads and writes whole blocks', async (t) => {
  const { device } = await fakeDisk(t, {});
  await writeBytes(device, 512, pattern(1024, 9));
  await device.flush();
  assert.deepEqual(await readBytes(device, 512, 1024), pattern(1024, 9));
  await assert.rejects(device.read(100, 512), dstError('DST_E_ALIGNMENT', { errno: 'EINVAL' }));
});

test('trim of a disk discards, in bounded pieces', async (t) => {
  const { device, done } = await fakeDisk(t, { sizeBytes: 300 * MIB });
  await device.trim(512, 299 * MIB, {});
  assert.deepEqual(done, [
    ['discard', 512, 128 * MIB],
    ['discard', 512 + 128 * MIB, 128 * MIB],
    ['discard', 512 + 256 * MIB, 43 * MIB],
  ]);
});

test('trim of a disk that can not discard does nothing', async (t) => {
  const { device, done } = await fakeDisk(t, { discards: false });
  await device.trim(0, 4096, { fua: true });
  assert.deepEqual(done, []);
});

test('write zeroes of a disk punches where the hardware can', async (t) => {
  const { device, done } = await fakeDisk(t, { punches: true });
  await device.writeZeroes(0, 4096, {});
  await device.writeZeroes(4096, 4096, { fastZero: true });
  assert.deepEqual(done, [
    ['punch', 0, 4096],
    ['punch', 4096, 4096],
  ]);
});

test('write zeroes of a disk has the kernel write where the hardware can not zero', async (t) => {
  const { device, done } = await fakeDisk(t, { punches: false });
  await device.writeZeroes(0, 4096, { fua: true });
  assert.deepEqual(done, [['zero', 0, 4096]]);
  await assert.rejects(
    device.writeZeroes(0, 4096, { fastZero: true }),
    dstError('DST_E_UNSUPPORTED', { errno: 'ENOTSUP' }),
  );
});

test('write zeroes of a disk that must stay allocated does not punch', async (t) => {
  const { device, done } = await fakeDisk(t, { punches: true });
  await device.writeZeroes(0, 4096, { noHole: true });
  assert.deepEqual(done, [['zero', 0, 4096]]);
  await assert.rejects(
    device.writeZeroes(0, 4096, { noHole: true, fastZero: true }),
    dstError('DST_E_UNSUPPORTED'),
  );
});

test('a disk tells nothing about its blocks', async (t) => {
  const { device } = await fakeDisk(t, {});
  await assert.rejects(
    device.blockStatus(0, 4096),
    dstError('DST_E_UNSUPPORTED', { errno: 'ENOTSUP' }),
  );
});

test('a disk that grew or shrank has its new size once it is looked at', async (t) => {
  const { device, resize } = await fakeDisk(t, {});
  const { minimumBlockBytes, preferredBlockBytes } = device.geometry;
  for (const sizeBytes of [2 * MIB, 512]) {
    resize(sizeBytes);
    await device.reread();
    assert.deepEqual(device.geometry, { sizeBytes, minimumBlockBytes, preferredBlockBytes });
  }
  await assert.rejects(device.read(512, 512), dstError('DST_E_RANGE', { errno: 'EINVAL' }));
});

test('a disk whose medium was taken out keeps its size', async (t) => {
  const { device, resize } = await fakeDisk(t, {});
  resize(0);
  await assert.rejects(device.reread(), dstError('DST_E_SIZE', { message: /medium/ }));
  assert.equal(device.geometry.sizeBytes, MIB);
});

test('a disk that is plugged in again has another verifier', async (t) => {
  const before = await fakeDisk(t, { attributes: { diskseq: '7' } });
  const same = await fakeDisk(t, { attributes: { diskseq: '7' } });
  const after = await fakeDisk(t, { attributes: { diskseq: '8' } });
  assert.deepEqual(same.device.verifier, before.device.verifier);
  assert.notDeepEqual(after.device.verifier, before.device.verifier);
});
