import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedDisk } from './disk.js';
import { Random } from './random.js';

const CRASHES = 200;

/** What block 0 holds after a crash, over many of them. */
function valuesAfterCrash(prepare: (disk: SimulatedDisk) => void): number[] {
  const values = new Set<number>();
  for (let seed = 0; seed < CRASHES; seed++) {
    const disk = new SimulatedDisk(1, new Random(seed));
    prepare(disk);
    disk.crash();
    values.add(disk.value(0));
  }
  return [...values].sort();
}

test('a crash leaves any of what was not flushed', () => {
  const values = valuesAfterCrash((disk) => {
    disk.apply(0, 1);
    disk.apply(0, 2);
  });
  assert.deepEqual(values, [0, 1, 2]);
});

test('what was flushed survives every crash', () => {
  const values = valuesAfterCrash((disk) => {
    disk.hardenAll(disk.apply(0, 1));
  });
  assert.deepEqual(values, [1]);
});

test('a flush does not cover what was written after it began', () => {
  const values = valuesAfterCrash((disk) => {
    const sequence = disk.apply(0, 1);
    disk.apply(0, 2);
    disk.hardenAll(sequence);
  });
  assert.deepEqual(values, [1, 2]);
});

test('the verifier changes with each crash', () => {
  const disk = new SimulatedDisk(1, new Random(1));
  const before = disk.verifier;
  disk.crash();
  assert.notDeepEqual(disk.verifier, before);
});
