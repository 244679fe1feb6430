/** NBD clients that send mutated options and requests to a real bridge, on a socket of its own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { silentLog } from '../../src/log.js';
import { Bridge } from '../../src/nbd/bridge.js';
import { pattern, read, write } from '../client/support.js';
import { clientFlags, contextData, goData, option, requestHeader } from '../nbd/support.js';
import { Random } from '../simulation/random.js';
import { soon, until } from '../support/wait.js';
import { mutateBytes } from './mutate.js';

const DEVICE_BYTES = 1 << 20;
const CLIENTS_MAX = 6;
const STEPS_MAX = 8;
const COMMANDS = 8;
const OPTIONS = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 200] as const;
const NBD_OPT_GO = 7;
const NBD_CMD_WRITE = 1;

/** The only byte that clients write. */
const WRITTEN_BYTE = 0x5a;

/** One seed: throws where the bridge does what it must not. */
export async function fuzzNbd(seed: number): Promise<void> {
  const random = new Random(seed);
  const folder = await mkdtemp(join(tmpdir(), 'dst-fuzz-'));
  const path = join(folder, 's');
  const device = new MemoryDevice(2 * DEVICE_BYTES);
  const kept = pattern(DEVICE_BYTES, seed);
  await write(device, DEVICE_BYTES, kept);
  const bridge = await Bridge.listen({
    exportName: 'disk',
    device: shrunk(device),
    listen: { path },
    log: silentLog,
  });
  try {
    const count = 1 + random.below(CLIENTS_MAX);
    await Promise.all(
      Array.from({ length: count }, () => attack(path, script(random.fork()), random.fork())),
    );
    await until(() => bridge.stats.clients === 0, 'the end of every client');
    const whole = await read(device, 0, 2 * DEVICE_BYTES);
    assert.ok(whole.subarray(DEVICE_BYTES).equals(kept), 'bytes past the end were written');
    await serves(path);
  } finally {
    await bridge.close(0);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Half of a device, so that writes past the end of it would be seen. */
function shrunk(device: MemoryDevice): MemoryDevice {
  const geometry = { ...device.geometry, sizeBytes: DEVICE_BYTES };
  return new Proxy(device, {
    get(target, key) {
      if (key === 'geometry') return geometry;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** What one client sends, some of it changed. */
function script(random: Random): Buffer[] {
  const steps = [clientFlags(3)];
  for (let count = random.below(STEPS_MAX); count > 0; count--) steps.push(anOption(random));
  if (random.chance(0.8)) {
    steps.push(option(NBD_OPT_GO, goData('disk')));
    for (let count = random.below(STEPS_MAX); count > 0; count--) steps.push(aRequest(random));
  }
  return steps.map((bytes) => (random.chance(0.3) ? mutateBytes(bytes, random) : bytes));
}

function anOption(random: Random): Buffer {
  const number = random.pick(OPTIONS);
  const data = random.pick([
    Buffer.alloc(0),
    goData('disk', [0, 1, 2, 3]),
    contextData('disk', ['base:allocation', 'base:']),
    Buffer.alloc(random.below(20_000), 0xff),
  ]);
  return option(number, data);
}

function aRequest(random: Random): Buffer {
  const command = random.below(COMMANDS);
  const lengthBytes = random.below(5_000);
  const header = requestHeader(command, {
    offset: random.pick([0, random.below(DEVICE_BYTES), DEVICE_BYTES - 1, 2 ** 52]),
    lengthBytes: random.pick([lengthBytes, 0, 2 ** 32 - 1]),
    flags: random.below(32),
  });
  if (command !== NBD_CMD_WRITE) return header;
  return Buffer.concat([header, Buffer.alloc(lengthBytes, WRITTEN_BYTE)]);
}

/** Sends all, reads what comes, and hangs up. */
async function attack(path: string, steps: readonly Buffer[], random: Random): Promise<void> {
  const socket = createConnection(path);
  socket.on('error', () => {});
  socket.resume();
  // Not by `once`, which an error ends as well.
  const closed = new Promise((resolve) => socket.on('close', resolve));
  for (const step of steps) {
    socket.write(step);
    if (random.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  // A client that has sent its last byte may be waited for, as for the rest of a request.
  if (random.chance(0.5)) socket.destroy();
  await soon(closed, 'the bridge to hang up');
}

/** A client that keeps the rules is still greeted. */
async function serves(path: string): Promise<void> {
  const socket = createConnection(path);
  const [greeting] = (await soon(once(socket, 'data'), 'the greeting')) as [Buffer];
  assert.equal(greeting.toString('latin1', 0, 8), 'NBDMAGIC');
  socket.destroy();
}
