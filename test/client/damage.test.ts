import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DstError } from '../../src/errors.js';
import { failsWith, newRemote, pattern, randomFrom, read, write } from './support.js';

const BLOCK_BYTES = 4096;
const SEED = Number(process.env.SEED ?? 1);

/** Frames are smaller than this less their payload, so that what is larger is payload. */
const HEADER_BYTES_MAX = 200;

/** A network that flips one bit in some payloads; headers are left to the transport's own care. */
function flippingNetwork(random: () => number, share: () => number) {
  let flips = 0;
  const split = (bytes: Buffer): Buffer[] => {
    if (bytes.length < BLOCK_BYTES || random() >= share()) return [bytes];
    flips++;
    const damaged = Buffer.from(bytes);
    const at = HEADER_BYTES_MAX + Math.floor(random() * (bytes.length - HEADER_BYTES_MAX));
    damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    return [damaged];
  };
  return { split, flips: () => flips };
}

for (const checksum of ['blake3', 'blake2b', 'xxh128', 'crc32c', 'sha256'] as const) {
  test(`damaged payloads are sent again, and reach neither disk nor reader (${checksum})`, async (t) => {
    const { split, flips } = flippingNetwork(randomFrom(SEED), () => 0.3);
    const { remote, device } = await newRemote(t, {
      network: { split },
      session: { checksums: [checksum] },
    });
    for (let block = 0; block < 50; block++) {
      const bytes = pattern(BLOCK_BYTES, block);
      await write(remote, block * BLOCK_BYTES, bytes);
      const onDisk = await read(device, block * BLOCK_BYTES, BLOCK_BYTES);
      assert.ok(onDisk.equals(bytes), `seed ${SEED}: block ${block} on the disk`);
      const back = await read(remote, block * BLOCK_BYTES, BLOCK_BYTES);
      assert.ok(back.equals(bytes), `seed ${SEED}: block ${block} as it was read`);
    }
    const { corrupt, resent } = remote.session.counters;
    assert.ok(flips() > 0);
    assert.equal(corrupt, flips());
    assert.equal(resent, flips());
  });
}

test('a write whose every copy is damaged fails with EIO, and writes nothing', async (t) => {
  const { split } = flippingNetwork(randomFrom(SEED), () => 1);
  const { remote, device } = await newRemote(t, { network: { split }, session: { maxResends: 3 } });
  await assert.rejects(
    write(remote, 0, pattern(BLOCK_BYTES, 1)),
    failsWith('DST_E_RESENDS', 'EIO'),
  );
  assert.equal(device.commands.length, 0);
  await remote.flush();
});

test('with no checksum damage is not noticed: the choice is the user’s', async (t) => {
  const { split } = flippingNetwork(randomFrom(SEED), () => 1);
  const { remote } = await newRemote(t, { network: { split }, session: { checksums: ['none'] } });
  await write(remote, 0, pattern(BLOCK_BYTES, 1));
  assert.equal(remote.session.counters.corrupt, 0);
});

test('a failure whose words are garbage still fails its command, with its errno', async (t) => {
  const words = 'the disk says no';
  const split = (bytes: Buffer): Buffer[] => {
    const at = bytes.indexOf(words);
    // The byte before is the msgpack marker of the text: now there is none.
    if (at > 0) bytes.fill(0xc1, at - 1, at);
    return [bytes];
  };
  const { remote, device } = await newRemote(t, { network: { split } });
  device.failWhen(() => new DstError('DST_E_TEST', words, { errno: 'ENOSPC' }));
  await assert.rejects(write(remote, 0, Buffer.alloc(512)), failsWith('DST_E_PEER', 'ENOSPC'));
});
