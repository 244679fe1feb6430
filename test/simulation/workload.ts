import type { KernelDevice } from './kernel-device.js';
import type { Plan } from './plan.js';
import type { Random } from './random.js';
import type { VirtualClock } from './virtual-clock.js';

const BLOCKS_PER_COMMAND_MAX = 4;

/** How often each command is made, out of the sum. */
const MIX = [
  ['write', 9],
  ['read', 6],
  ['flush', 1],
  ['write with FUA', 2],
  ['trim', 1],
  ['write zeroes', 1],
] as const;

type MixName = (typeof MIX)[number][0];

/** One thread of a program that uses the device: a command, a pause, and so on. */
export async function work(
  client: KernelDevice,
  plan: Plan,
  clock: VirtualClock,
  random: Random,
): Promise<void> {
  for (let i = 0; i < plan.commandsPerWorker; i++) {
    // Mostly short, and now and then long.
    await clock.sleep(4 * random.next() ** 3 * plan.thinkMs);
    await step(client, plan.blocks, random);
  }
}

async function step(client: KernelDevice, blocks: number, random: Random): Promise<void> {
  const count = 1 + random.below(BLOCKS_PER_COMMAND_MAX);
  const first = random.below(blocks - count + 1);
  const name = pickCommand(random);
  switch (name) {
    case 'write':
    case 'trim':
    case 'write zeroes':
      return client.change(name, first, count, false);
    case 'write with FUA':
      return client.change('write', first, count, true);
    case 'read':
      return client.read(first, count);
    case 'flush':
      await client.flush();
  }
}

function pickCommand(random: Random): MixName {
  let left = random.below(MIX.reduce((sum, [, weight]) => sum + weight, 0));
  for (const [name, weight] of MIX) {
    if (left < weight) return name;
    left -= weight;
  }
  return 'read';
}
