/** The kernel's driver without a client or an export: a device of memory. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { joinPayload } from '../../src/block/payload.js';
import { silentLog } from '../../src/log.js';
import { KernelAttachment } from '../../src/nbd/kernel/attachment.js';
import { devicePath } from '../../src/nbd/kernel/device-name.js';
import type { NbdDriver } from '../../src/nbd/kernel/driver.js';
import { KIB, MIB } from '../support/end-to-end.js';

/** Attaches a device of this very process, writes to it, and detaches it. */
export async function attachOnce(driver: NbdDriver, index: number): Promise<void> {
  const device = new MemoryDevice(4 * MIB);
  const attachment = await KernelAttachment.attach({
    driver,
    index,
    device,
    connections: 2,
    deadConnectionTimeoutMs: 60_000,
    backend: 'a test',
    log: silentLog,
  });
  const data = randomBytes(64 * KIB);
  const disk = await open(devicePath(index), 'r+');
  await disk.write(data, 0, data.length, 0);
  await disk.sync();
  await disk.close();
  await attachment.detach();
  await attachment.detached;
  const written = await device.read(0, data.length);
  assert.ok(joinPayload(written).equals(data), 'what was written is there');
  written.release();
  await device.close();
}
