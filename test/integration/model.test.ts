/**
 * Random reads and writes through a remote device while its connections are cut, beside a
 * plain buffer that says what must come out. `SEED=` takes other numbers.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockDevice } from '../../src/block/device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { joinPayload, payloadOf } from '../../src/block/payload.js';
import { startCluster } from '../support/cluster.js';
import { NETWORK_TRANSPORTS, skipTransport, type TransportName } from '../support/transports.js';
import { soon } from '../support/wait.js';

const SEED = Number(process.env.SEED ?? 1);

/** Each worker has a region of its own, so that commands in flight never overlap. */
const WORKERS = 16;
const REGION_BYTES = 512 * 1024;

interface Plan {
  readonly transport: TransportName;
  readonly commandsPerWorker: number;
  /** One in so many commands comes with a cut. */
  readonly commandsPerCut: number;
  readonly cutsAtLeast: number;
}

const PLANS: readonly Plan[] = [
  { transport: 'memory', commandsPerWorker: 150, commandsPerCut: 8, cutsAtLeast: 200 },
  ...NETWORK_TRANSPORTS.map((transport) => ({
    transport,
    commandsPerWorker: 40,
    commandsPerCut: 60,
    cutsAtLeast: 1,
  })),
];

/** A repeatable random number below `limit` (xorshift). */
function randomFrom(seed: number): (limit: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % limit;
  };
}

type Random = ReturnType<typeof randomFrom>;

/** One command somewhere in the region, on the device and on the model. */
async function step(device: BlockDevice, region: Buffer, start: number, random: Random) {
  const offset = random(REGION_BYTES);
  const lengthBytes = 1 + random(Math.min(REGION_BYTES - offset, 1 << (1 + random(19))));
  const end = offset + lengthBytes;
  switch (random(8)) {
    case 0:
      await device.writeZeroes(start + offset, lengthBytes, { fua: random(2) === 0 });
      region.fill(0, offset, end);
      return;
    case 1:
      await device.trim(start + offset, lengthBytes, {});
      region.fill(0, offset, end);
      return;
    case 2:
      await device.flush();
      return;
    case 3:
    case 4: {
      const payload = await device.read(start + offset, lengthBytes);
      assert.ok(joinPayload(payload).equals(region.subarray(offset, end)), 'read something else');
      payload.release();
      return;
    }
    default: {
      const bytes = Buffer.alloc(lengthBytes, `${random(1 << 30)}.`);
      await device.write(start + offset, payloadOf([bytes]), { fua: random(4) === 0 });
      bytes.copy(region, offset);
    }
  }
}

for (const plan of PLANS) {
  const skip = skipTransport(plan.transport);

  test(`whatever is cut over ${plan.transport}, what was acked is there (seed ${SEED})`, {
    skip,
  }, async (t) => {
    const disk = new MemoryDevice(WORKERS * REGION_BYTES);
    const cuts = randomFrom(SEED + 999);
    const cluster = await startCluster(plan.transport, disk, {
      network: {
        delayMs: () => 0,
        // Now and then bytes come in pieces of odd sizes.
        split: (bytes) => {
          const at = cuts(4) === 0 ? cuts(bytes.length + 1) : 0;
          return at === 0 ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)];
        },
      },
    });
    t.after(() => cluster.close());
    const remote = await cluster.connect({ maxResends: Number.POSITIVE_INFINITY });
    const model = Buffer.alloc(WORKERS * REGION_BYTES);
    let cutCount = 0;

    async function work(worker: number): Promise<void> {
      const random = randomFrom(SEED + worker);
      const start = worker * REGION_BYTES;
      const region = model.subarray(start, start + REGION_BYTES);
      for (let i = 0; i < plan.commandsPerWorker; i++) {
        const stepping = soon(step(remote, region, start, random), `seed ${SEED}, step ${i}`);
        if (cuts(plan.commandsPerCut) === 0) {
          for (let turns = cuts(6); turns > 0; turns--) await new Promise(setImmediate);
          cluster.cut();
          cutCount++;
        }
        await stepping;
      }
    }

    await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
    const content = joinPayload(await disk.read(0, model.length));
    assert.ok(content.equals(model), `seed ${SEED}: the disk is not what was written`);
    assert.ok(cutCount >= plan.cutsAtLeast, `only ${cutCount} cuts`);
    assert.equal(remote.session.unfinished, 0);
    assert.equal(cluster.server.sessions, 1);
  });
}
