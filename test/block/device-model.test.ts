import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlockDevice } from '../../src/block/device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { payloadOf } from '../../src/block/payload.js';
import { newFileDevice, pattern, readBytes } from './helpers.js';

// A few chunks of a memory device, a few pages of a file, and odd at both ends.
const SIZE_BYTES = 200 * 1024;
const RUNS = 100;

const range = fc
  .tuple(fc.nat(SIZE_BYTES), fc.nat(SIZE_BYTES))
  .map(([a, b]) => ({ offset: Math.min(a, b), lengthBytes: Math.abs(a - b) }));

const command = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    range,
    seed: fc.nat(200),
    cut: fc.nat(SIZE_BYTES),
    fua: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('trim' as const), range, fua: fc.boolean() }),
  fc.record({ kind: fc.constant('write zeroes' as const), range, noHole: fc.boolean() }),
  fc.record({ kind: fc.constant('read' as const), range }),
  fc.record({ kind: fc.constant('block status' as const), range }),
  fc.record({ kind: fc.constant('flush' as const) }),
);

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** Runs a command on the device and on the model, and compares what they tell. */
async function step(device: BlockDevice, model: Buffer, next: Command): Promise<void> {
  if (next.kind === 'flush') return device.flush();
  const { offset, lengthBytes } = next.range;
  const end = offset + lengthBytes;
  switch (next.kind) {
    case 'write': {
      const bytes = pattern(lengthBytes, next.seed);
      const cut = Math.min(next.cut, lengthBytes);
      const payload = payloadOf([bytes.subarray(0, cut), bytes.subarray(cut)]);
      await device.write(offset, payload, { fua: next.fua });
      bytes.copy(model, offset);
      return;
    }
    case 'trim':
      // Without this capability trim is a no-op, which no model of the content can tell.
      if (!device.capabilities.trim) return;
      await device.trim(offset, lengthBytes, { fua: next.fua });
      model.fill(0, offset, end);
      return;
    case 'write zeroes':
      await device.writeZeroes(offset, lengthBytes, { noHole: next.noHole });
      model.fill(0, offset, end);
      return;
    case 'read':
      assert.ok((await readBytes(device, offset, lengthBytes)).equals(model.subarray(offset, end)));
      return;
    case 'block status': {
      let position = offset;
      for (const extent of await device.blockStatus(offset, lengthBytes)) {
        const extentEnd = position + extent.lengthBytes;
        if (extent.zero) assert.ok(model.subarray(position, extentEnd).every((byte) => byte === 0));
        position = extentEnd;
      }
      assert.ok(lengthBytes === 0 || position > offset);
    }
  }
}

async function follow(device: BlockDevice): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 20 }), async (commands) => {
      const model = Buffer.alloc(SIZE_BYTES);
      await device.writeZeroes(0, SIZE_BYTES, {});
      for (const next of commands) await step(device, model, next);
      assert.ok((await readBytes(device, 0, SIZE_BYTES)).equals(model));
    }),
    { numRuns: RUNS },
  );
}

test('memory behaves as plain bytes do, whatever the commands', async () => {
  await follow(new MemoryDevice(SIZE_BYTES));
});

test('a file behaves as plain bytes do, whatever the commands', async (t) => {
  const { device } = await newFileDevice(t, { sizeBytes: SIZE_BYTES });
  await follow(device);
});
