/**
 * One flipped bit, anywhere in what is written or read: on its way, or in the buffer that it
 * came into. It is noticed, counted at both ends, sent again, and seen by nobody.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { ERRNO_DAMAGED } from '../../src/protocol/messages.js';
import type { Damage, Sender } from '../../src/transport/memory.js';
import { CHECKSUM_NAMES, type ChecksumName } from '../../wasm/checksums.js';
import { pattern, read, write } from '../client/support.js';
import { newExport, noting } from '../export/support.js';
import { Random } from '../simulation/random.js';
import { startCluster } from '../support/cluster.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { writeOf } from '../support/raw-client.js';

const BLOCK_BYTES = 4096;
const BLOCKS = 100;
const DEVICE_BYTES = BLOCKS * BLOCK_BYTES;
const SEED = Number(process.env.SEED ?? 1);

/** Flips bits in frames that carry a block, and counts them by who sent the frame. */
class Flipper implements Damage {
  readonly flips: Record<Sender, number> = { client: 0, export: 0 };
  readonly #random: Random;
  readonly #where: 'way' | 'memory';
  readonly #share: number;

  constructor(random: Random, where: 'way' | 'memory', share: number) {
    this.#random = random;
    this.#where = where;
    this.#share = share;
  }

  onTheWay(bytes: Buffer, sender: Sender): Buffer {
    if (this.#where === 'way') this.#strike(bytes, payloadAt(bytes), bytes.length, sender);
    return bytes;
  }

  /** The first of two pieces: the receiver holds it until the second has come. */
  afterReceipt(piece: Buffer, sender: Sender): void {
    if (this.#where === 'memory') this.#strike(piece, payloadAt(piece), piece.length, sender);
  }

  #strike(bytes: Buffer, from: number | undefined, to: number, sender: Sender): void {
    if (from === undefined || !this.#random.chance(this.#share)) return;
    flipBit(bytes, from + this.#random.below(to - from), this.#random.below(8));
    this.flips[sender]++;
  }
}

function flipBit(bytes: Buffer, at: number, bit: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
}

/** Where a block begins in a frame, or in the first piece of one; nothing in other frames. */
function payloadAt(bytes: Buffer): number | undefined {
  const headerBytes = bytes[0] ?? 0;
  // A bin 16, as the blocks here have.
  const markerAt = 1 + headerBytes;
  if (headerBytes > 0x7f || bytes[1] === undefined || (bytes[1] & 0xf0) !== 0x90) return undefined;
  return bytes[markerAt] === 0xc5 && bytes.length > BLOCK_BYTES / 4 ? markerAt + 3 : undefined;
}

/** Into two pieces, of which the first has the header and some of the block. */
function halves(bytes: Buffer): Buffer[] {
  if (bytes.length < BLOCK_BYTES) return [bytes];
  return [bytes.subarray(0, BLOCK_BYTES / 2), bytes.subarray(BLOCK_BYTES / 2)];
}

async function newCluster(t: TestContext, checksum: ChecksumName, damage: Damage) {
  const device = new FaultyDevice(new MemoryDevice(DEVICE_BYTES));
  const network = { damage, split: halves };
  const cluster = await startCluster('memory', device, { checksums: [checksum], network });
  t.after(() => cluster.close());
  return { device, cluster, remote: await cluster.connect({ checksums: [checksum] }) };
}

for (const checksum of CHECKSUM_NAMES.filter((name) => name !== 'none')) {
  for (const where of ['way', 'memory'] as const) {
    const place = where === 'way' ? 'on its way' : 'in a buffer';
    test(`a bit that flips ${place} is noticed and sent again (${checksum})`, async (t) => {
      const flipper = new Flipper(new Random(SEED), where, 0.4);
      const { device, cluster, remote } = await newCluster(t, checksum, flipper);
      for (let block = 0; block < BLOCKS; block++) {
        const bytes = pattern(BLOCK_BYTES, block);
        await write(remote, block * BLOCK_BYTES, bytes);
        const stored = await read(device, block * BLOCK_BYTES, BLOCK_BYTES);
        assert.ok(stored.equals(bytes), `seed ${SEED}: block ${block} on the disk`);
        const back = await read(remote, block * BLOCK_BYTES, BLOCK_BYTES);
        assert.ok(back.equals(bytes), `seed ${SEED}: block ${block} as it was read`);
      }
      const { client, export: exported } = flipper.flips;
      assert.ok(client > BLOCKS / 4 && exported > BLOCKS / 4, `${client} and ${exported} flips`);
      const { corrupt, resent } = remote.session.counters;
      assert.equal(corrupt, client + exported);
      assert.equal(resent, client + exported);
      assert.equal(cluster.server.damagedWrites, client);
      const writes = device.commands.filter(({ name }) => name === 'write');
      assert.equal(writes.length, BLOCKS, 'a write reached the disk that was not to');
    });
  }
}

test('the export tells of damaged writes, ever more rarely', async (t) => {
  const lines: { details: unknown; line: unknown }[] = [];
  const { connect } = newExport(t, { checksums: ['crc32c'], log: noting(lines) });
  const client = await connect();
  await client.welcome({ checksums: ['crc32c'] });
  const stream = client.open();
  for (let transaction = 1; transaction <= 20; transaction++) {
    const reply = await stream.run(writeOf(transaction, 0, Buffer.from('no checksum')));
    assert.equal(reply.errno, ERRNO_DAMAGED);
  }
  const told = lines.filter(({ line }) => /failed its checksum/.test(String(line)));
  const counts = told.map(({ details }) => Reflect.get(details as object, 'count'));
  assert.deepEqual(counts, [1, 2, 4, 8, 16]);
});
