import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Contender } from './contenders.js';
import type { Measurement } from './measure.js';
import { idleShare, resultsOf } from './result.js';

function contender(name: string): Contender {
  return { name } as Contender;
}

function sample(iops: number, changes: Partial<Measurement> = {}): Measurement {
  return {
    commands: iops,
    bytes: iops * 4096,
    iops,
    bytesPerSecond: iops * 4096,
    p50Us: 100,
    p99Us: 900,
    wallSeconds: 1,
    clientCpuSeconds: 0.1,
    serverCpuSeconds: 0.3,
    idleCpuSeconds: 0,
    linkCpuSeconds: 0,
    loadCpuUs: 30,
    machineIdleShare: 0.25,
    ...changes,
  };
}

test('processor time is told by command and by byte, of both ends and of each', () => {
  const measured = new Map([[contender('ours'), [sample(1000)]]]);
  const [result] = resultsOf('a cell', measured, 'ours');
  assert.equal(result?.cpu.both.perMillionCommands, 400);
  assert.equal(result?.cpu.client.perMillionCommands, 100);
  assert.equal(result?.cpu.server.perMillionCommands, 300);
  assert.equal(result?.cpu.both.perGigabyte.toFixed(3), (0.4 / 0.004096).toFixed(3));
});

test('each contender is compared with the baseline, itself too', () => {
  const measured = new Map([
    [contender('base'), [sample(10), sample(20)]],
    [contender('ours'), [sample(30), sample(60)]],
  ]);
  assert.deepEqual(
    resultsOf('a cell', measured, 'base').map(({ ratio }) => ratio),
    [1, 3],
  );
});

test('without the baseline nobody is compared', () => {
  const measured = new Map([[contender('ours'), [sample(30)]]]);
  assert.equal(resultsOf('a cell', measured, 'base')[0]?.ratio, undefined);
});

test('what those took who waited is a share of the time of all samples', () => {
  const samples = [sample(1, { idleCpuSeconds: 0.02 }), sample(1, { wallSeconds: 3 })];
  const measured = new Map([[contender('ours'), samples]]);
  assert.equal(idleShare(resultsOf('a cell', measured, 'ours')), 0.005);
});
