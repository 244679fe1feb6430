import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { payloadOf } from '../../src/block/payload.js';
import { QuickIo } from '../../src/block/quick-io.js';
import { type SystemCalls, systemCalls } from '../../src/block/system-calls.js';
import {
  QUICK_IO_BYTES_MAX,
  QUICK_WRITE_PAUSE_FACTOR,
  QUICK_WRITE_PAUSE_MS_MAX,
  QUICK_WRITE_SLOW_MS,
} from '../../src/limits.js';

/** Real calls whose quick ones are replaced. */
async function quickCalls(quick: Partial<SystemCalls>): Promise<SystemCalls> {
  return { ...(await systemCalls()), ...quick };
}

const payload = payloadOf([Buffer.alloc(4096, 1)]);

test('a read that the page cache cannot serve whole is left to the pool', async () => {
  const answers = [4096, 100, -constants.errno.EAGAIN];
  const quick = new QuickIo(await quickCalls({ readNow: () => answers.shift() ?? 0 }), 3);
  const target = Buffer.alloc(4096);
  assert.deepEqual(
    [quick.read(target, 0), quick.read(target, 0), quick.read(target, 0)],
    [true, false, false],
  );
});

test('a file system without RWF_NOWAIT is asked once', async () => {
  let asked = 0;
  const readNow = () => {
    asked++;
    return -constants.errno.EOPNOTSUPP;
  };
  const quick = new QuickIo(await quickCalls({ readNow }), 3);
  for (let i = 0; i < 3; i++) assert.equal(quick.read(Buffer.alloc(4096), 0), false);
  assert.equal(asked, 1);
});

test('large commands go through the pool', async () => {
  const refuse = () => assert.fail('tried at once');
  const quick = new QuickIo(await quickCalls({ readNow: refuse, writeNow: refuse }), 3);
  assert.equal(quick.read(Buffer.alloc(QUICK_IO_BYTES_MAX + 1), 0), false);
  assert.equal(quick.write(payloadOf([Buffer.alloc(QUICK_IO_BYTES_MAX + 1)]), 0), false);
});

test('a short or failed write is left to the pool', async () => {
  const answers = [4096, 4095, -constants.errno.ENOSPC];
  const quick = new QuickIo(await quickCalls({ writeNow: () => answers.shift() ?? 0 }), 3);
  assert.deepEqual(
    [quick.write(payload, 0), quick.write(payload, 0), quick.write(payload, 0)],
    [true, false, false],
  );
});

/** A disk whose writes take so long, by a clock of its own; tells which were tried at once. */
async function slowDisk(tookMs: () => number) {
  const clock = { nowMs: 1000 };
  const writeNow = () => {
    clock.nowMs += tookMs();
    return 4096;
  };
  const quick = new QuickIo(await quickCalls({ writeNow }), 3, () => clock.nowMs);
  return { clock, triedAtOnce: () => quick.write(payload, 0) };
}

test('after a slow write the pool takes over, for some time', async () => {
  const { clock, triedAtOnce } = await slowDisk(() => QUICK_WRITE_SLOW_MS + 1);
  assert.equal(triedAtOnce(), true);
  assert.equal(triedAtOnce(), false);
  clock.nowMs += (QUICK_WRITE_SLOW_MS + 1) * QUICK_WRITE_PAUSE_FACTOR;
  assert.equal(triedAtOnce(), true);
});

test('the slower a write was, the longer the pool takes over, within bounds', async () => {
  let tookMs = 100;
  const { clock, triedAtOnce } = await slowDisk(() => tookMs);
  triedAtOnce();
  clock.nowMs += 100 * QUICK_WRITE_PAUSE_FACTOR - 1;
  assert.equal(triedAtOnce(), false);
  clock.nowMs += 1;
  tookMs = 60_000;
  assert.equal(triedAtOnce(), true);
  clock.nowMs += QUICK_WRITE_PAUSE_MS_MAX;
  assert.equal(triedAtOnce(), true);
});

test('writes that are quick enough go on at once', async () => {
  const { triedAtOnce } = await slowDisk(() => QUICK_WRITE_SLOW_MS);
  assert.deepEqual([triedAtOnce(), triedAtOnce()], [true, true]);
});
