import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it, type TestContext } from 'node:test';
import { systemError } from '../../../src/block/system-error.js';
import { type KernelDeviceSettings, NbdDriver } from '../../../src/nbd/kernel/driver.js';
import {
  type Attribute,
  decodeAttributes,
  findAttribute,
  nestedAttribute,
  type Request,
  u32Attribute,
} from '../../../src/nbd/kernel/netlink.js';
import type { NetlinkRequests, Reply } from '../../../src/nbd/kernel/netlink-socket.js';
import { type MadeUpFolders, madeUpFolders } from './made-up-folders.js';

const GETFAMILY = 3;
const [CONNECT, DISCONNECT, RECONFIGURE, STATUS] = [1, 2, 3, 5];
const FAMILY = 0x25;
const NEWEST_ATTRIBUTE = 10;

const SETTINGS: KernelDeviceSettings = {
  sizeBytes: 2 ** 40,
  blockBytes: 4096,
  transmissionFlags: 0x125,
  deadConnectionTimeoutMs: 600_500,
  backend: 'ours',
};

/** Plays the kernel: answers by a table, notes what it was asked. */
class Kernel implements NetlinkRequests {
  readonly asked: Request[] = [];
  closed = false;
  attributeMax: number | undefined = NEWEST_ATTRIBUTE;
  /** Errors by command. */
  readonly refusals = new Map<number, keyof typeof constants.errno>();
  /** Of all devices: whether they are taken. */
  readonly devices = new Map<number, boolean>();

  async request(request: Request): Promise<readonly Reply[]> {
    if (request.family !== FAMILY) return this.#findFamily(request);
    this.asked.push(request);
    const refusal = this.refusals.get(request.command);
    if (refusal !== undefined) throw systemError('a netlink request', constants.errno[refusal]);
    if (request.command === STATUS) return [reply(STATUS, [this.#deviceList()])];
    const index = findAttribute(request.attributes, 1) ?? u32Attribute(1, 6);
    return request.command === CONNECT ? [reply(CONNECT, [index])] : [];
  }

  close(): void {
    this.closed = true;
  }

  /** The attributes of the last request of that kind, as hex, by type. */
  attributesOf(command: number): Map<number, string> {
    const request = this.asked.findLast((each) => each.command === command);
    return new Map(request?.attributes.map(({ type, value }) => [type, value.toString('hex')]));
  }

  #findFamily(request: Request): readonly Reply[] {
    assert.equal(request.command, GETFAMILY);
    assert.equal(findAttribute(request.attributes, 2)?.value.toString(), 'nbd\0');
    if (this.attributeMax === undefined) throw systemError('x', constants.errno.ENOENT);
    const id: Attribute = { type: 1, value: Buffer.from([FAMILY, 0]) };
    return [reply(1, [id, u32Attribute(5, this.attributeMax)])];
  }

  #deviceList(): Attribute {
    const items = [...this.devices].map(([index, taken]) =>
      nestedAttribute(1, [
        u32Attribute(1, index),
        { type: 2, value: Buffer.from([taken ? 1 : 0]) },
      ]),
    );
    return nestedAttribute(9, items);
  }
}

function reply(command: number, attributes: readonly Attribute[]): Reply {
  return { kind: 'message', sequence: 1, command, attributes };
}

interface Setup {
  readonly kernel: Kernel;
  readonly folders: MadeUpFolders;
  readonly driver: NbdDriver;
}

async function openDriver(t: TestContext, attributeMax = NEWEST_ATTRIBUTE): Promise<Setup> {
  const folders = await madeUpFolders(t);
  const kernel = new Kernel();
  kernel.attributeMax = attributeMax;
  return { kernel, folders, driver: await NbdDriver.open(kernel, folders) };
}

describe('opening the NBD driver', () => {
  it('tells that it is not loaded, and lets go of the socket', async (t) => {
    const kernel = new Kernel();
    kernel.attributeMax = undefined;
    await assert.rejects(NbdDriver.open(kernel, await madeUpFolders(t)), {
      code: 'DST_E_NO_DRIVER',
      message: /modprobe nbd/,
    });
    assert.equal(kernel.closed, true);
  });

  it('tells that the kernel is too old where the driver is there and its family is not', async (t) => {
    const folders = await madeUpFolders(t);
    await folders.put('sys/module/nbd/refcnt', '0');
    const kernel = new Kernel();
    kernel.attributeMax = undefined;
    await assert.rejects(NbdDriver.open(kernel, folders), { code: 'DST_E_KERNEL_OLD' });
  });

  it('tells that the kernel is too old where the family lacks what we need', async (t) => {
    const kernel = new Kernel();
    kernel.attributeMax = 8;
    await assert.rejects(NbdDriver.open(kernel, await madeUpFolders(t)), {
      code: 'DST_E_KERNEL_OLD',
      message: /4\.12/,
    });
  });

  it('tells a process without CAP_SYS_ADMIN that it needs root', async (t) => {
    const folders = await madeUpFolders(t);
    await folders.put('proc/self/status', 'Name:\tnode\nCapEff:\t000001ffffdfffff\n');
    await assert.rejects(NbdDriver.open(new Kernel(), folders), { code: 'DST_E_NOT_ROOT' });
    await folders.put('proc/self/status', 'Name:\tnode\nCapEff:\t0000000000200000\n');
    await NbdDriver.open(new Kernel(), folders);
  });
});

describe('attaching a device', () => {
  it('says all there is to say', async (t) => {
    const { kernel, driver } = await openDriver(t);
    assert.equal(await driver.connect(3, [20, 21], SETTINGS), 3);
    const said = kernel.attributesOf(CONNECT);
    const sockets = Buffer.from(said.get(7) ?? '', 'hex');
    said.delete(7);
    assert.deepEqual(
      said,
      new Map([
        [1, '03000000'],
        [2, '0000000000010000'],
        [3, '0010000000000000'],
        [5, '2501000000000000'],
        // In seconds, rounded up.
        [8, '5902000000000000'],
        [10, Buffer.from('ours\0').toString('hex')],
      ]),
    );
    const items = decodeAttributes(sockets).flatMap((item) => decodeAttributes(item.value));
    assert.deepEqual(
      items.map(({ type, value }) => [type, value.readUInt32LE()]),
      [
        [1, 20],
        [1, 21],
      ],
    );
  });

  it('leaves the choice to the kernel', async (t) => {
    const { kernel, driver } = await openDriver(t);
    assert.equal(await driver.connect('auto', [20], SETTINGS), 6);
    assert.equal(kernel.attributesOf(CONNECT).has(1), false);
  });

  it('does not name the backend to a kernel that would not know what that is', async (t) => {
    const { kernel, driver } = await openDriver(t, 9);
    await driver.connect(3, [20], SETTINGS);
    assert.equal(kernel.attributesOf(CONNECT).has(10), false);
  });

  it('tells which process has the device', async (t) => {
    const { kernel, driver, folders } = await openDriver(t);
    kernel.refusals.set(CONNECT, 'EBUSY');
    await folders.put('sys/block/nbd3/pid', '77\n');
    await folders.put('proc/77/status', 'State:\tS\nTgid:\t77\n');
    await folders.put('proc/77/comm', 'nbd-client\n');
    await assert.rejects(driver.connect(3, [20], SETTINGS), {
      code: 'DST_E_DEVICE_IN_USE',
      message: /^\/dev\/nbd3 is attached by process 77 \(nbd-client\): /,
    });
  });

  it('tells that whoever has the device is gone', async (t) => {
    const { kernel, driver, folders } = await openDriver(t);
    kernel.refusals.set(CONNECT, 'EBUSY');
    await folders.put('sys/block/nbd3/pid', '77\n');
    await assert.rejects(driver.connect(3, [20], SETTINGS), {
      message: /by a client that is gone/,
    });
  });

  it('tells who has the device open, where nobody attached it', async (t) => {
    const { kernel, driver, folders } = await openDriver(t);
    kernel.refusals.set(CONNECT, 'EBUSY');
    await folders.put('proc/12/comm', 'blkid\n');
    await folders.link('proc/12/fd/3', '/dev/nbd3');
    await assert.rejects(driver.connect(3, [20], SETTINGS), {
      code: 'DST_E_DEVICE_IN_USE',
      message: /is in use: open in process 12 \(blkid\): /,
    });
  });

  it('needs root, also where that shows late', async (t) => {
    const { kernel, driver } = await openDriver(t);
    kernel.refusals.set(CONNECT, 'EPERM');
    await assert.rejects(driver.connect('auto', [20], SETTINGS), { code: 'DST_E_NOT_ROOT' });
  });

  it('passes on that the kernel refuses, with where to look', async (t) => {
    const { kernel, driver } = await openDriver(t);
    kernel.refusals.set(CONNECT, 'EINVAL');
    await assert.rejects(driver.connect(3, [20], SETTINGS), {
      code: 'DST_E_ATTACH',
      message: /\/dev\/nbd3 \(EINVAL\).*dmesg/,
    });
  });

  for (const blockBytes of [1, 256, 3072, 8192]) {
    it(`refuses blocks of ${blockBytes} bytes`, async (t) => {
      const { kernel, driver } = await openDriver(t);
      await assert.rejects(driver.connect(3, [20], { ...SETTINGS, blockBytes }), {
        code: 'DST_E_BLOCK_SIZE',
      });
      assert.equal(kernel.asked.length, 0);
    });
  }

  it('with several sockets needs the flag that allows them', async (t) => {
    const { driver } = await openDriver(t);
    const settings = { ...SETTINGS, transmissionFlags: 0x25 };
    await assert.rejects(driver.connect(3, [20, 21], settings), /CAN_MULTI_CONN/);
  });
});

describe('changing an attached device', () => {
  it('hands over sockets, and repeats the backend that it was attached with', async (t) => {
    const { kernel, driver, folders } = await openDriver(t);
    await folders.put('sys/block/nbd3/backend', 'ours\n');
    await driver.reconfigure(3, { sockets: [20] });
    const said = kernel.attributesOf(RECONFIGURE);
    assert.deepEqual([...said.keys()], [1, 7, 10]);
    assert.equal(said.get(10), Buffer.from('ours\0').toString('hex'));
  });

  it('changes how long the kernel waits for sockets, in whole seconds', async (t) => {
    const { kernel, driver } = await openDriver(t);
    await driver.reconfigure(3, { deadConnectionTimeoutMs: 90_001 });
    assert.equal(kernel.attributesOf(RECONFIGURE).get(8), '5b00000000000000');
  });

  it('resizes, and names no backend where the kernel shows none', async (t) => {
    const { kernel, driver } = await openDriver(t);
    await driver.reconfigure(3, { sizeBytes: 8192 });
    assert.deepEqual(
      kernel.attributesOf(RECONFIGURE),
      new Map([
        [1, '03000000'],
        [2, '0020000000000000'],
      ]),
    );
  });

  it('fails where it is not attached any more', async (t) => {
    const { kernel, driver } = await openDriver(t);
    kernel.refusals.set(RECONFIGURE, 'EINVAL');
    await assert.rejects(driver.reconfigure(3, { sizeBytes: 8192 }), {
      code: 'DST_E_NOT_ATTACHED',
      message: /^\/dev\/nbd3 /,
    });
  });

  it('passes on that the kernel refuses', async (t) => {
    const { kernel, driver } = await openDriver(t);
    kernel.refusals.set(RECONFIGURE, 'EBADF');
    await assert.rejects(driver.reconfigure(3, { sockets: [9] }), { code: 'DST_E_ATTACH' });
  });
});

describe('the devices of the kernel', () => {
  it('are attached if they are taken and not just open', async (t) => {
    const { kernel, driver, folders } = await openDriver(t);
    for (const index of [5, 1, 2]) kernel.devices.set(index, true);
    kernel.devices.set(0, false);
    for (const index of [0, 1, 5]) await folders.put(`sys/block/nbd${index}/pid`, '77\n');
    assert.deepEqual(await driver.connected(), [1, 5]);
  });

  it('have a first one that is free', async (t) => {
    const { kernel, driver } = await openDriver(t);
    kernel.devices.set(3, false);
    kernel.devices.set(0, true);
    kernel.devices.set(2, false);
    assert.equal(await driver.firstFree(), 2);
  });

  it('have another one that is free, for whoever cannot have the first', async (t) => {
    const { kernel, driver } = await openDriver(t);
    for (const index of [0, 1]) kernel.devices.set(index, false);
    assert.equal(await driver.firstFree(new Set([0])), 1);
    assert.equal(await driver.firstFree(new Set([0, 1, 2])), 3);
  });

  it('have a next one that the kernel would make, when all are taken', async (t) => {
    const { kernel, driver } = await openDriver(t);
    for (const index of [0, 1, 3]) kernel.devices.set(index, true);
    assert.equal(await driver.firstFree(), 2);
  });

  it('are detached by their index', async (t) => {
    const { kernel, driver } = await openDriver(t);
    kernel.devices.set(3, true);
    await driver.disconnect(3);
    assert.deepEqual(kernel.attributesOf(DISCONNECT), new Map([[1, '03000000']]));
  });

  it('that are not there need no detaching, and leave no line in the kernel log', async (t) => {
    const { kernel, driver } = await openDriver(t);
    await driver.disconnect(3);
    assert.equal(kernel.attributesOf(DISCONNECT).size, 0);
  });
});
