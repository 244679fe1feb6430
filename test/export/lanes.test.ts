/** Lanes as the export sees them: who may join an epoch, and what ends with what. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CREDIT_TRANSACTIONS } from '../../src/limits.js';
import { type RawClient, writeOf } from '../support/raw-client.js';
import { until } from '../support/wait.js';
import { newExport, type TestExport } from './support.js';

/** A session with lane 0 of epoch 5, and lane 1. */
async function twoLanes(exporter: TestExport): Promise<[RawClient, RawClient]> {
  const first = await exporter.connect();
  await first.welcome({ epoch: 5 });
  const second = await exporter.connect(first.session);
  await second.welcome({ epoch: 5, lane: 1 });
  return [first, second];
}

/** Why a further lane is refused. */
async function refusalOf(exporter: TestExport, session: RawClient['session'], epoch: number) {
  const lane = await exporter.connect(session);
  lane.hello({ epoch, lane: 2 });
  return (await lane.refusal()).code;
}

test('a lane joins the epoch, fences nothing, and both work', async (t) => {
  const exporter = newExport(t);
  const [first, second] = await twoLanes(exporter);
  assert.equal((await first.open().run(writeOf(1, 0, Buffer.from('a')))).errno, 0);
  assert.equal((await second.open().run(writeOf(2, 1, Buffer.from('b')))).errno, 0);
  assert.equal(exporter.server.sessions, 1);
});

test('a transaction that is sent again on another lane is carried out once', async (t) => {
  const exporter = newExport(t);
  const [first, second] = await twoLanes(exporter);
  const hold = exporter.device.hold(({ name }) => name === 'write');
  const one = first.open().run(writeOf(1, 0, Buffer.from('a')));
  await hold.arrived;
  const other = second.open().run(writeOf(1, 0, Buffer.from('a')));
  hold.release();
  assert.deepEqual([(await one).errno, (await other).errno], [0, 0]);
  const writes = exporter.device.commands.filter(({ name }) => name === 'write');
  assert.equal(writes.length, 1);
});

test('a lane joins neither an older epoch nor one that is yet to begin, nor a session unknown', async (t) => {
  const exporter = newExport(t);
  const [first] = await twoLanes(exporter);
  assert.equal(await refusalOf(exporter, first.session, 4), 'DST_E_EPOCH');
  assert.equal(await refusalOf(exporter, first.session, 6), 'DST_E_EPOCH');
  const stranger = await exporter.connect();
  assert.equal(await refusalOf(exporter, stranger.session, 5), 'DST_E_EPOCH');
  assert.equal((await first.open().run(writeOf(1, 0, Buffer.from('a')))).errno, 0);
});

test('with the last lane of an epoch its credit is gone, and no lane joins it any more', async (t) => {
  const exporter = newExport(t);
  const first = await exporter.connect();
  await first.welcome({ epoch: 5 });
  first.connection.close('gone');
  await until(() => exporter.server.connections === 0, 'the lane to be gone');
  assert.equal(await refusalOf(exporter, first.session, 5), 'DST_E_EPOCH');
});

test('a higher epoch dismisses all lanes of the one before', async (t) => {
  const exporter = newExport(t);
  const [first, second] = await twoLanes(exporter);
  const next = await exporter.connect(first.session);
  await next.welcome({ epoch: 6 });
  assert.equal((await first.dismissal()).code, 'DST_E_FENCED');
  assert.equal((await second.dismissal()).code, 'DST_E_FENCED');
});

test('a lane that joins while a fence is pending waits for it', async (t) => {
  const exporter = newExport(t);
  const [first] = await twoLanes(exporter);
  const hold = exporter.device.hold(({ name }) => name === 'write');
  first.open().send(writeOf(1, 0, Buffer.from('old')));
  await hold.arrived;
  const next = await exporter.connect(first.session);
  const welcomed: string[] = [];
  const began = next.welcome({ epoch: 6 }).then(() => welcomed.push('lane 0'));
  const lane = await exporter.connect(first.session);
  const joined = lane.welcome({ epoch: 6, lane: 1 }).then(() => welcomed.push('lane 1'));
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.deepEqual(welcomed, []);
  hold.release();
  await Promise.all([began, joined]);
});

test('a lane with a number that is there takes its place', async (t) => {
  const exporter = newExport(t);
  const [first, second] = await twoLanes(exporter);
  const again = await exporter.connect(first.session);
  await again.welcome({ epoch: 5, lane: 1 });
  assert.equal((await second.dismissal()).code, 'DST_E_FENCED');
  assert.equal((await first.open().run(writeOf(1, 0, Buffer.from('a')))).errno, 0);
});

test('a session may have so many lanes as the export allows, and is told when that changes', async (t) => {
  const exporter = newExport(t, { lanesMax: 2 });
  const first = await exporter.connect();
  assert.equal((await first.welcome({ epoch: 5 })).lanes, 2);
  assert.equal(await refusalOf(exporter, first.session, 5), 'DST_E_LANES');
  exporter.server.limitLanes(3);
  assert.equal((await first.notice('lanes')).lanes, 3);
  const third = await exporter.connect(first.session);
  await third.welcome({ epoch: 5, lane: 2 });
});

test('a session lasts while one lane is there, and LEAVE on any ends them all', async (t) => {
  const exporter = newExport(t, { leaseMs: 1 });
  const [first, second] = await twoLanes(exporter);
  first.connection.close('gone');
  await first.closed;
  assert.equal((await second.open().run(writeOf(1, 0, Buffer.from('a')))).errno, 0);
  const third = await exporter.connect(first.session);
  await third.welcome({ epoch: 5, lane: 2 });
  second.leave();
  await Promise.all([second.closed, third.closed]);
  await until(() => exporter.server.sessions === 0, 'the end of the session');
});

test('the credit is that of all lanes together', async (t) => {
  const exporter = newExport(t);
  const [first, second] = await twoLanes(exporter);
  const hold = exporter.device.hold(() => true);
  const lanes = [first.open(), second.open()];
  for (let id = 1; id <= CREDIT_TRANSACTIONS + 1; id++) {
    lanes[id % 2]?.send({ transaction: id, lengthBytes: 1 });
  }
  const broken = await Promise.race([first.dismissal(), second.dismissal()]);
  assert.equal(broken.code, 'DST_E_LIMIT');
  hold.release();
});
