/** Block devices and mounts of the machine that the tests run on. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { NbdDriver } from '../../src/nbd/kernel/driver.js';
import type { Cleanup } from '../support/cleanup.js';
import { tool } from '../support/end-to-end.js';

/** What the driver logs of sockets that it gave up, or that went with their client. */
export const SOCKETS_REPLACED =
  /^block nbd\d+: (Receive control failed|Send (control|data|disconnect) failed|Dead connection|Connection timed out|reconnected socket)/;

/** Indexes of the nbd devices that are attached. */
export function connectedDevices(): number[] {
  return nbdIndexes().filter((index) => existsSync(`/sys/block/nbd${index}/pid`));
}

/** The paths of so many devices that nobody uses. */
export function freeDevices(count: number): string[] {
  const connected = connectedDevices();
  const free = nbdIndexes().filter((index) => !connected.includes(index));
  assert.ok(free.length >= count, `${count} free nbd devices`);
  return free.slice(0, count).map((index) => `/dev/nbd${index}`);
}

export function freeDevice(): string {
  const [path = ''] = freeDevices(1);
  return path;
}

function nbdIndexes(): number[] {
  const names = readdirSync('/sys/block').filter((name) => /^nbd\d+$/.test(name));
  return names.map((name) => Number(name.slice('nbd'.length))).sort((a, b) => a - b);
}

/** Detaches what a test has left attached. */
export async function detachAllBut(others: readonly number[]): Promise<void> {
  const left = connectedDevices().filter((index) => !others.includes(index));
  if (left.length === 0) return;
  const driver = await NbdDriver.open();
  for (const index of left) await driver.disconnect(index);
  driver.close();
}

export function indexOf(device: string): number {
  return Number(device.slice('/dev/nbd'.length));
}

export function sizeBytesOf(device: string): number {
  return Number(queueAttribute(device, 'size')) * 512;
}

/** An attribute of a device, below its folder in /sys/block. */
export function queueAttribute(device: string, name: string): string {
  return readFileSync(`/sys/block/${device.replace('/dev/', '')}/${name}`, 'utf8').trim();
}

/** Mounts a device or, with options, an image; it is unmounted with the test. */
export async function mount(
  t: Cleanup,
  source: string,
  folder: string,
  ...options: string[]
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  t.after(async () => {
    if (isMounted(folder)) await tool(t, 'umount', '--lazy', folder);
  });
  await tool(t, 'mount', ...options, source, folder);
}

/** Mount options for a file system that flushes nothing that nobody asks it to. */
export const FLUSHED_WHEN_ASKED = ['-o', 'commit=600'] as const;

/** What is written stays in the kernel's cache until it is flushed, however slow the test is. */
export function keepCached(t: Cleanup): void {
  const setting = '/proc/sys/vm/dirty_writeback_centisecs';
  const before = readFileSync(setting, 'utf8');
  t.after(() => writeFileSync(setting, before));
  writeFileSync(setting, '0');
}

export async function unmount(t: Cleanup, folder: string): Promise<void> {
  await tool(t, 'umount', folder);
}

function isMounted(folder: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === folder);
}

/** Makes a file a block device; it is let go with the test. */
export async function loopDevice(t: Cleanup, path: string): Promise<string> {
  const device = (await tool(t, 'losetup', '--find', '--show', path)).trim();
  t.after(async () => {
    await tool(t, 'losetup', '--detach', device);
  });
  return device;
}

/** What the kernel has cached is read anew. */
export async function dropCaches(t: Cleanup): Promise<void> {
  await tool(t, 'sh', '-c', 'echo 3 >/proc/sys/vm/drop_caches');
}
