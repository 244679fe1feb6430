/** A device whose size changes: each client is judged by the size that it was told. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Geometry } from '../../src/block/device.js';
import { DstError, NBD_ERRNO } from '../../src/errors.js';
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE_ZEROES,
  NBD_OPT_GO,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
} from '../../src/nbd/constants.js';
import {
  clientFlags,
  contextData,
  goData,
  option,
  RawClient,
  requestHeader,
  ScriptedDevice,
  startBridge,
} from './support.js';

const SMALL_BYTES = 4096;
const LARGE_BYTES = 8192;
const END_OF_LARGE = { offset: SMALL_BYTES, lengthBytes: LARGE_BYTES - SMALL_BYTES };

/** A device whose size a test sets; past its end it has an errno of its own. */
class ResizableDevice extends ScriptedDevice {
  sizeBytes: number;

  constructor(sizeBytes: number) {
    super({ answersAtOnce: true });
    this.sizeBytes = sizeBytes;
    Object.defineProperty(this, 'geometry', {
      get: (): Geometry => ({
        sizeBytes: this.sizeBytes,
        minimumBlockBytes: 1,
        preferredBlockBytes: 4096,
      }),
    });
  }

  override async trim(offset: number, lengthBytes: number, flags: object): Promise<void> {
    if (offset + lengthBytes > this.sizeBytes) {
      throw new DstError('DST_E_SHRUNK', 'the device is smaller now', { errno: 'EIO' });
    }
    return super.trim(offset, lengthBytes, flags);
  }
}

async function setUp(t: TestContext, sizeBytes: number) {
  const device = new ResizableDevice(sizeBytes);
  const { path } = await startBridge(t, device);
  return { device, path, early: await RawClient.ready(t, path) };
}

/** The size that a client is told when its handshake ends. */
async function negotiatedBytes(t: TestContext, path: string): Promise<number> {
  const client = await RawClient.connect(t, path);
  client.send(clientFlags(3), option(NBD_OPT_GO, goData('disk')));
  return Number((await client.takeOptionReply()).data.readBigUInt64BE(2));
}

async function answer(client: RawClient, command: number, range: object): Promise<number> {
  client.send(requestHeader(command, range));
  return (await client.takeSimpleReply()).error;
}

test('a new client is told the size that the device has now', async (t) => {
  const { device, path } = await setUp(t, SMALL_BYTES);
  device.sizeBytes = LARGE_BYTES;
  assert.equal(await negotiatedBytes(t, path), LARGE_BYTES);
  device.sizeBytes = SMALL_BYTES;
  assert.equal(await negotiatedBytes(t, path), SMALL_BYTES);
});

test('a client from before the device grew keeps to the size that it knows', async (t) => {
  const { device, path, early } = await setUp(t, SMALL_BYTES);
  device.sizeBytes = LARGE_BYTES;
  assert.equal(await answer(early, NBD_CMD_TRIM, END_OF_LARGE), NBD_ERRNO.EINVAL);
  assert.equal(await answer(early, NBD_CMD_WRITE_ZEROES, END_OF_LARGE), NBD_ERRNO.ENOSPC);
  assert.equal(await answer(early, NBD_CMD_TRIM, { lengthBytes: SMALL_BYTES }), 0);
  const late = await RawClient.ready(t, path);
  assert.equal(await answer(late, NBD_CMD_TRIM, END_OF_LARGE), 0);
});

test('a client from before the device shrank gets what the device says', async (t) => {
  const { device, early } = await setUp(t, LARGE_BYTES);
  device.sizeBytes = SMALL_BYTES;
  assert.equal(await answer(early, NBD_CMD_TRIM, END_OF_LARGE), NBD_ERRNO.EIO);
  assert.equal(await answer(early, NBD_CMD_TRIM, { lengthBytes: SMALL_BYTES }), 0);
});

test('extents end where the client that asks believes that the device ends', async (t) => {
  const device = new ResizableDevice(SMALL_BYTES);
  const { path } = await startBridge(t, device);
  const client = await RawClient.connect(t, path);
  client.send(
    clientFlags(3),
    option(NBD_OPT_STRUCTURED_REPLY),
    option(NBD_OPT_SET_META_CONTEXT, contextData('disk', ['base:allocation'])),
    option(NBD_OPT_GO, goData('disk')),
  );
  for (let acks = 0; acks < 3; ) {
    if ((await client.takeOptionReply()).type === NBD_REP_ACK) acks += 1;
  }
  device.sizeBytes = LARGE_BYTES;
  device.extents = [{ lengthBytes: LARGE_BYTES, hole: true, zero: true }];
  client.send(requestHeader(NBD_CMD_BLOCK_STATUS, { lengthBytes: SMALL_BYTES }));
  // A chunk's header (20 bytes), the context's id, and one extent: its length and its flags.
  const chunk = await client.take(20 + 4 + 8);
  assert.equal(chunk.readUInt32BE(24), SMALL_BYTES);
});
