/** Holes stay holes all the way to the export's file, and are seen from the client. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  allocatedBytes,
  KIB,
  MIB,
  makeSparse,
  nbdsh,
  startPair,
  tool,
} from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

/** What a file system may take beside the data: its own records of where that is. */
const OVERHEAD_BYTES = 128 * KIB;

interface Run {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly data: boolean;
}

/** Runs that follow each other and are alike are one: how an answer is cut means nothing. */
function joined(runs: readonly Run[]): Run[] {
  const result: Run[] = [];
  for (const run of runs) {
    const last = result.at(-1);
    if (last?.data !== run.data) result.push(run);
    else {
      result[result.length - 1] = { ...last, lengthBytes: last.lengthBytes + run.lengthBytes };
    }
  }
  return result;
}

test('holes stay holes, and block status shows them', {
  skip: skipWithout('nbdcopy', 'nbdinfo', 'qemu-img', 'cmp'),
}, async (t) => {
  const pair = await startPair(t, { sizeBytes: 128 * MIB });
  const source = join(pair.folder, 'source.img');
  const out = join(pair.folder, 'out.img');
  makeSparse(source, 128 * MIB);
  const fd = openSync(source, 'r+');
  for (const [offset, lengthBytes] of [
    [0, 4 * KIB],
    [10 * MIB, 64 * KIB],
    [60 * MIB + 12 * KIB, 3 * MIB],
    [128 * MIB - 8 * KIB, 8 * KIB],
  ] as const) {
    writeSync(fd, randomBytes(lengthBytes), 0, lengthBytes, offset);
  }
  closeSync(fd);

  await tool(t, 'nbdcopy', '--flush', source, pair.uri);
  const map = await tool(t, 'nbdinfo', '--map', '--json', pair.uri);
  const sourceMap = await tool(t, 'qemu-img', 'map', '--output=json', '-f', 'raw', source);
  await tool(t, 'nbdcopy', pair.uri, out);
  await pair.stop();

  await tool(t, 'cmp', source, pair.storePath);
  await tool(t, 'cmp', source, out);
  for (const copy of [pair.storePath, out]) {
    const excessBytes = allocatedBytes(copy) - allocatedBytes(source);
    assert.ok(Math.abs(excessBytes) <= OVERHEAD_BYTES, `${copy} has ${excessBytes} bytes more`);
  }
  const DATA = 0;
  assert.deepEqual(
    joined(
      JSON.parse(map).map(({ offset, length, type }: Record<string, number>) => ({
        offset,
        lengthBytes: length,
        data: type === DATA,
      })),
    ),
    joined(
      JSON.parse(sourceMap).map((run: { start: number; length: number; data: boolean }) => ({
        offset: run.start,
        lengthBytes: run.length,
        data: run.data,
      })),
    ),
  );
});

test('a trim gives blocks back', { skip: skipWithout('qemu-io') }, async (t) => {
  const pair = await startPair(t, { sizeBytes: 64 * MIB });
  const qemuIo = (command: string) => tool(t, 'qemu-io', '-f', 'raw', '-c', command, pair.uri);
  await qemuIo('write -P 7 1M 32M');
  assert.ok(allocatedBytes(pair.storePath) >= 32 * MIB);
  await qemuIo('discard 2M 31M');
  assert.ok(allocatedBytes(pair.storePath) <= MIB + OVERHEAD_BYTES);
  assert.match(await qemuIo('read -P 7 1M 1M'), /read 1048576\/1048576/);
  assert.match(await qemuIo('read -P 0 2M 31M'), /read 32505856\/32505856/);
  await pair.stop();
});

test('write zeroes makes holes, unless asked not to, and is fast', {
  skip: skipWithout('nbdsh'),
}, async (t) => {
  const pair = await startPair(t, { sizeBytes: 2048 * MIB });
  // FAST_ZERO makes the export refuse what it cannot do fast.
  await nbdsh(
    t,
    pair.uri,
    'h.pwrite(b"x" * (16 << 20), 0)',
    'h.zero(1 << 30, 0, nbd.CMD_FLAG_FAST_ZERO)',
    'assert h.pread(16 << 20, 0) == bytes(16 << 20)',
  );
  assert.ok(allocatedBytes(pair.storePath) <= OVERHEAD_BYTES);
  await nbdsh(t, pair.uri, 'h.zero(16 << 20, 1 << 20, nbd.CMD_FLAG_NO_HOLE)');
  assert.ok(allocatedBytes(pair.storePath) >= 16 * MIB);
  await nbdsh(t, pair.uri, 'assert h.pread(18 << 20, 0) == bytes(18 << 20)');
  await pair.stop();
});
