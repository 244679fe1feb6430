/** Random I/O on the raw device, every block verified, while everything else breaks. */
import assert from 'node:assert/strict';
import { startProgram } from '../cli/command.js';
import { eventually, lasting } from '../faults/patience.js';
import { UdpRelay } from '../faults/udp-relay.js';
import { MIB } from '../support/end-to-end.js';
import { DeviceClient } from './device-client.js';
import { freeDevice, queueAttribute, SOCKETS_REPLACED } from './devices.js';
import type { KernelContext } from './kernel-test.js';
import { newStore } from './store.js';
import { underKernel } from './under-kernel.js';

const LONG = process.env.LONG === '1';

/** What fio writes and reads back, over and over. */
const REGION_BYTES = 32 * MIB;

/** Commands a second: below what the guest's one CPU can do, so that the rest has some of it. */
const RATE_IOPS = 300;

/** The writes, and the reads that verify them, that end before a fault and after it. */
const COMMANDS = LONG ? 5_000 : 64;

const EXPORT_KILLS = 3;

/** Each costs 30 s: the kernel waits so long for what a dead client had. */
const CLIENT_KILLS = LONG ? 5 : 1;

/** The kernel sends again what a client that was killed had, 30 s after it had got it. */
const PROGRESS_WITHIN_MS = 90_000;

/** Longer than 30 s, the kernel gives sockets up. */
const BLACKOUT_MS = LONG ? 90_000 : 20_000;

/** Runs a load while something happens. */
async function duringLoad(
  t: KernelContext,
  device: string,
  happening: () => Promise<void>,
): Promise<void> {
  const fio = startProgram(t, 'fio', [
    '--name=verified',
    '--verify_state_save=0',
    '--ioengine=libaio',
    `--filename=${device}`,
    '--direct=1',
    '--rw=randwrite',
    '--bssplit=4k/70:16k/20:128k/10',
    '--iodepth=32',
    `--size=${REGION_BYTES}`,
    `--rate_iops=${RATE_IOPS}`,
    '--fsync=64',
    '--verify=crc32c',
    '--verify_backlog=64',
    '--verify_fatal=1',
    '--output-format=json',
    // Until it is told to end.
    '--time_based',
    '--runtime=600',
  ]);
  await progress(device);
  await happening();
  await progress(device);
  const { code, stdout, stderr } = await fio.stop('SIGINT');
  assert.equal(stderr, '');
  const report = JSON.parse(stdout.slice(stdout.indexOf('{')));
  const [{ read, write, error }] = report.jobs;
  assert.equal(error, 0, stdout);
  assert.ok(code === 0 || code === 128, `fio ended with ${code}: ${stdout}`);
  const slowestMs = Math.round(write.clat_ns.max / 1e6);
  t.diagnostic(`${write.total_ios} writes, ${read.total_ios} reads, the slowest ${slowestMs} ms`);
}

/** Waits until so many more writes and reads of a device have ended. */
async function progress(device: string): Promise<void> {
  const before = ended(device);
  const enough = () => {
    const now = ended(device);
    return now.writes >= before.writes + COMMANDS && now.reads >= before.reads + COMMANDS;
  };
  await eventually(enough, PROGRESS_WITHIN_MS, 'writes and reads to end');
}

/** Of the first and the fifth field (the kernel's Documentation/block/stat.rst). */
function ended(device: string): { readonly reads: number; readonly writes: number } {
  const [reads, , , , writes] = queueAttribute(device, 'stat').trim().split(/\s+/);
  return { reads: Number(reads), writes: Number(writes) };
}

underKernel(import.meta.url, {
  tests: [
    {
      name: `the export is killed (-9) and started again, 3 times; the link is dead for ${BLACKOUT_MS / 1000} s; the client is killed (-9) and started again: ${CLIENT_KILLS}`,
      tools: ['fio'],
      async run(t) {
        // The kernel gives sockets up that are silent for 30 s.
        if (LONG) t.expectKernel(SOCKETS_REPLACED);
        const store = await newStore(t);
        const relay = await UdpRelay.start(t, store.exporting.address.port);
        const exporting = { address: { host: '127.0.0.1', port: relay.port } };
        const setup = { folder: store.folder, exporting, device: freeDevice() };
        let latest = await DeviceClient.start(t, setup);
        // One load and one client for all of it: to start them takes longer than what they do.
        await duringLoad(t, latest.device, async () => {
          for (let i = 0; i < EXPORT_KILLS; i++) {
            await store.exporting.kill();
            await store.exporting.start();
            await progress(latest.device);
          }
          relay.set({ down: true });
          await lasting(BLACKOUT_MS / 2);
          const before = ended(latest.device);
          await lasting(BLACKOUT_MS / 2);
          assert.deepEqual(ended(latest.device), before, 'what was written meanwhile waits');
          relay.heal();
          await progress(latest.device);
          t.expectKernel(SOCKETS_REPLACED);
          for (let i = 0; i < CLIENT_KILLS; i++) {
            if (i > 0) await progress(latest.device);
            await latest.kill();
            latest = await DeviceClient.start(t, setup);
          }
        });
        assert.ok(relay.counters.cut > 0, 'the link was dead');
        await latest.stop();
      },
    },
  ],
});
