import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { joinPayload } from '../../src/block/payload.js';
import { DstError, type ErrnoName, NBD_ERRNO } from '../../src/errors.js';
import { execute } from '../../src/export/executor.js';
import { decodeExtents } from '../../src/protocol/extents.js';
import { NO_CHECKSUM, NO_PIECES, type RequestFrame } from '../../src/protocol/frame.js';
import { decodeMap } from '../../src/protocol/header.js';
import { FLAG, KIND } from '../../src/protocol/kinds.js';
import { readFailure } from '../../src/protocol/messages.js';
import { loadChecksum } from '../../wasm/checksums.js';
import { FaultyDevice } from '../support/faulty-device.js';

const SIZE_BYTES = 1024 * 1024;
const blake3 = await loadChecksum('blake3');

function newDevice(): FaultyDevice {
  return new FaultyDevice(new MemoryDevice(SIZE_BYTES));
}

function request(changes: Partial<RequestFrame>): RequestFrame {
  return {
    kind: KIND.read,
    transaction: 1,
    flags: 0,
    retired: 1,
    offset: 0,
    lengthBytes: 512,
    checksum: NO_CHECKSUM,
    payload: NO_PIECES,
    ...changes,
  };
}

for (const errno of Object.keys(NBD_ERRNO) as ErrnoName[]) {
  test(`a device's ${errno} is answered with its NBD value and the device's words`, async () => {
    const device = newDevice();
    device.failWhen(() => new DstError('DST_E_TEST', `it says ${errno}`, { errno }));
    const answer = await execute(device, request({}), blake3);
    assert.equal(answer.kind, KIND.failed);
    assert.equal(answer.errno, NBD_ERRNO[errno]);
    assert.ok(answer.payload);
    assert.deepEqual(readFailure(decodeMap(joinPayload(answer.payload))), {
      code: 'DST_E_TEST',
      message: `it says ${errno}`,
    });
  });
}

test('an expected error without an errno is answered with EIO', async () => {
  const device = newDevice();
  device.failWhen(() => new DstError('DST_E_TEST', 'no errno'));
  assert.equal((await execute(device, request({}), blake3)).errno, NBD_ERRNO.EIO);
});

test('a device that throws what is not expected breaks the export, not its data', async () => {
  const device = newDevice();
  device.failWhen(() => new TypeError('a bug'));
  await assert.rejects(execute(device, request({}), blake3), TypeError);
});

test('flags reach the device', async () => {
  const device = newDevice();
  const checksum = blake3.digest([Buffer.from('abc')]);
  const payload = [Buffer.from('abc')];
  const fua = { flags: FLAG.fua };
  await execute(
    device,
    request({ kind: KIND.write, lengthBytes: 3, payload, checksum, ...fua }),
    blake3,
  );
  await execute(device, request({ kind: KIND.trim, ...fua }), blake3);
  await execute(
    device,
    request({ kind: KIND.writeZeroes, flags: FLAG.noHole | FLAG.fastZero }),
    blake3,
  );
  assert.deepEqual(
    device.commands.map(({ name, flags }) => [name, flags]),
    [
      ['write', { fua: true }],
      ['trim', { fua: true }],
      ['write zeroes', { fua: false, noHole: true, fastZero: true }],
    ],
  );
});

test('data and extents are answered with their checksum, and a hash is that of the data', async () => {
  const device = newDevice();
  const data = await execute(device, request({}), blake3);
  assert.ok(data.payload && blake3.matches(data.payload.pieces, data.checksum));
  const extents = await execute(device, request({ kind: KIND.blockStatus }), blake3);
  assert.ok(extents.payload && blake3.matches(extents.payload.pieces, extents.checksum));
  assert.deepEqual(decodeExtents(joinPayload(extents.payload)), [
    { lengthBytes: 512, hole: true, zero: true },
  ]);
  const hash = await execute(device, request({ kind: KIND.hash }), blake3);
  assert.ok(hash.payload && joinPayload(hash.payload).equals(data.checksum));
});

test('a range past the end is answered with the device’s errno', async () => {
  const past = { offset: SIZE_BYTES, lengthBytes: 512 };
  const read = await execute(newDevice(), request(past), blake3);
  assert.equal(read.errno, NBD_ERRNO.EINVAL);
});
