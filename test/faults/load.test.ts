/** The load notices what it is there to notice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BLOCK_BYTES } from './expected-blocks.js';
import { Load } from './load.js';
import type { LoadedDevice } from './nbd-client.js';

const SIZE_BYTES = 4 * 2 ** 20;
const COMMANDS = 100;
const QUICKLY = { thinkMsMax: 1 };

/** A device in memory, with one fault of a test's own. */
class PlainDevice implements LoadedDevice {
  readonly sizeBytes = SIZE_BYTES;
  readonly bytes = Buffer.alloc(SIZE_BYTES);

  async read(offset: number, lengthBytes: number): Promise<Buffer> {
    return Buffer.from(this.bytes.subarray(offset, offset + lengthBytes));
  }

  async write(offset: number, data: Buffer): Promise<void> {
    data.copy(this.bytes, offset);
  }

  async writeZeroes(offset: number, lengthBytes: number): Promise<void> {
    this.bytes.fill(0, offset, offset + lengthBytes);
  }

  async flush(): Promise<void> {}
}

describe('the load', () => {
  test('finds nothing wrong with a device that works', async () => {
    const load = new Load(new PlainDevice(), QUICKLY);
    load.start();
    await load.progress(COMMANDS);
    const report = await load.stop();
    assert.equal(report.ioErrors + report.verifyErrors, 0, report.problems.join('\n'));
    assert.ok(report.commands > COMMANDS);
    assert.ok(report.writtenBytes > 0);
  });

  test('finds a write that was acked and is not there', async () => {
    let writes = 0;
    class Forgetful extends PlainDevice {
      override async write(offset: number, data: Buffer): Promise<void> {
        if (++writes % 10 !== 0) await super.write(offset, data);
      }
    }
    const { verifyErrors, problems } = await loaded(new Forgetful());
    assert.ok(verifyErrors > 0);
    assert.match(problems[0] ?? '', /^block \d+ should hold version \d+, and holds /);
  });

  test('finds an old write that lands on a newer one', async () => {
    const written = new Map<number, Buffer>();
    class Late extends PlainDevice {
      override async write(offset: number, data: Buffer): Promise<void> {
        await super.write(offset, data);
        const earlier = written.get(offset);
        written.set(offset, Buffer.from(data));
        if (earlier !== undefined) await super.write(offset, earlier);
      }
    }
    const { verifyErrors } = await loaded(new Late(), 1500);
    assert.ok(verifyErrors > 0);
  });

  test('finds one flipped bit', async () => {
    const device = new PlainDevice();
    const load = new Load(device, QUICKLY);
    load.start();
    await load.progress(COMMANDS);
    await load.checkpoint(() => {
      const at = device.bytes.findIndex((byte) => byte !== 0) + BLOCK_BYTES / 2;
      device.bytes.writeUInt8(device.bytes.readUInt8(at) ^ 1, at);
    });
    // At once, so that the load has no time to write that block anew.
    const { verifyErrors } = await load.stop();
    assert.equal(verifyErrors, 1);
  });

  test('counts errors of the device, and goes on', async () => {
    let flushes = 0;
    class Failing extends PlainDevice {
      override async flush(): Promise<void> {
        flushes++;
        throw new Error('no flush today');
      }
    }
    const { ioErrors, problems } = await loaded(new Failing());
    assert.equal(ioErrors, flushes);
    assert.equal(problems[0], 'no flush today');
  });

  test('tells the longest stall, and the longest gap', async () => {
    let slow = true;
    class Slow extends PlainDevice {
      override async flush(): Promise<void> {
        if (slow) await new Promise((resolve) => setTimeout(resolve, 100));
        slow = false;
      }
    }
    const { longestStallMs, longestGapMs } = await loaded(new Slow());
    assert.ok(longestStallMs >= 99, `${longestStallMs}`);
    assert.ok(longestGapMs < longestStallMs, `${longestGapMs}`);
  });
});

async function loaded(device: LoadedDevice, commands = COMMANDS) {
  const load = new Load(device, QUICKLY);
  load.start();
  await load.progress(commands);
  return load.stop();
}
