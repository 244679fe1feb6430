import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  REPLAY_SLAB_BYTES,
  REPLAY_SLABS_FREE_MAX,
  REPLAY_SLABS_IDLE_MAX,
} from '../../src/limits.js';
import { type Kept, SlabQueue } from '../../src/transaction/slab-queue.js';

const bytesOf = ({ payload }: Kept) => Buffer.concat(payload.pieces as Buffer[]);

/** The buffers that a payload lies in. */
const memory = ({ payload }: Kept) => new Set(payload.pieces.map(({ buffer }) => buffer));

test('small payloads share a slab, and none overlaps another', () => {
  const slabs = new SlabQueue();
  const kept = Array.from({ length: 100 }, (_, at) => slabs.keep([Buffer.alloc(1000, at)]));
  assert.equal(new Set(kept.flatMap((each) => [...memory(each)])).size, 1);
  for (const [at, each] of kept.entries()) assert.ok(bytesOf(each).equals(Buffer.alloc(1000, at)));
});

test('a payload may lie across slabs, and come in pieces', () => {
  const slabs = new SlabQueue();
  slabs.keep([Buffer.alloc(REPLAY_SLAB_BYTES - 10)]);
  const large = Buffer.alloc(REPLAY_SLAB_BYTES + 50, 7);
  const kept = slabs.keep([Buffer.from('head'), large]);
  assert.ok(bytesOf(kept).equals(Buffer.concat([Buffer.from('head'), large])));
  assert.equal(memory(kept).size, 3);
});

test('an empty payload takes no room', () => {
  const slabs = new SlabQueue();
  const kept = slabs.keep([Buffer.alloc(0)]);
  assert.equal(kept.payload.lengthBytes, 0);
  slabs.release(kept);
});

test('a slab is used again once all that lay in it was released', () => {
  const slabs = new SlabQueue();
  const half = Buffer.alloc(REPLAY_SLAB_BYTES / 2);
  const [first, second] = [slabs.keep([half]), slabs.keep([half])];
  const third = slabs.keep([half]);
  slabs.release(first);
  slabs.release(third);
  assert.deepEqual(memory(slabs.keep([half])), memory(third), 'the current one starts over');
  slabs.release(second);
  slabs.keep([half]);
  assert.deepEqual(memory(slabs.keep([half])), memory(first));
});

test('what is kept stays as it was while slabs around it are used again', () => {
  const slabs = new SlabQueue();
  const waiting: { kept: Kept; fill: number }[] = [];
  for (let round = 0; round < 200; round++) {
    const fill = round & 0xff;
    waiting.push({ kept: slabs.keep([Buffer.alloc(50_000 + round * 100, fill)]), fill });
    if (waiting.length < 40) continue;
    const oldest = waiting.shift();
    assert.ok(oldest !== undefined);
    assert.ok(bytesOf(oldest.kept).every((byte) => byte === oldest.fill));
    slabs.release(oldest.kept);
  }
});

/** How many of the slabs that were filled and released are used again. */
function usedAgain(slabs: SlabQueue, idle: () => void): number {
  const whole = Buffer.alloc(REPLAY_SLAB_BYTES);
  const fill = () => Array.from({ length: REPLAY_SLABS_FREE_MAX + 4 }, () => slabs.keep([whole]));
  const before = fill();
  for (const each of before) slabs.release(each);
  idle();
  const known = new Set(before.flatMap((each) => [...memory(each)]));
  const again = fill().flatMap((each) => [...memory(each)]);
  return again.filter((each) => known.has(each)).length;
}

// Those that were held, and the current one.
test('only so many empty slabs are held', () => {
  assert.equal(
    usedAgain(new SlabQueue(), () => {}),
    REPLAY_SLABS_FREE_MAX + 1,
  );
});

test('and fewer once nothing is kept', () => {
  const slabs = new SlabQueue();
  assert.equal(
    usedAgain(slabs, () => slabs.trim()),
    REPLAY_SLABS_IDLE_MAX + 1,
  );
});
