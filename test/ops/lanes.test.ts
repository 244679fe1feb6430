/** Asking clients and exports for another number of lanes over their control sockets. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DstError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { askForLanes, findClients, findExports } from '../../src/ops/control-client.js';
import type { ControlOptions } from '../../src/ops/control-server.js';
import { startExportControl } from '../../src/ops/export-control.js';
import { failsWith } from '../transport/fixtures.js';
import { ownRuntimeFolder, startClient } from './support.js';

async function client(t: TestContext, changes: Partial<ControlOptions>): Promise<string> {
  ownRuntimeFolder(t);
  await startClient(t, changes);
  const [found] = (await findClients()).clients;
  return `${found?.socketPath}`;
}

test('a client is asked for so many lanes, or for auto', async (t) => {
  const asked: string[] = [];
  const path = await client(t, { chooseLanes: (count) => asked.push(count) });
  await askForLanes(path, '4');
  await askForLanes(path, 'auto');
  assert.deepEqual(asked, ['4', 'auto']);
});

test('a client that is not connected yet says that it cannot', async (t) => {
  const path = await client(t, {});
  await assert.rejects(askForLanes(path, '4'), failsWith('DST_E_CONTROL'));
});

test('a client that is gone is told of as such', async (t) => {
  ownRuntimeFolder(t);
  await assert.rejects(askForLanes('/nowhere/x.sock', '4'), failsWith('DST_E_CONTROL'));
});

test('an export says what it offers, and takes another number of lanes', async (t) => {
  ownRuntimeFolder(t);
  let lanes = 16;
  const control = await startExportControl({
    status: () => ({ pid: process.pid, stores: ['disk'], lanes }),
    limitLanes: (count) => {
      if (count === '0') throw new DstError('DST_E_USAGE', 'none is too few');
      lanes = Number(count);
    },
    log: silentLog,
  });
  t.after(() => control.close());
  const [found] = await findExports();
  assert.deepEqual(found?.status, { pid: process.pid, stores: ['disk'], lanes: 16 });
  const { clients } = await findClients();
  assert.deepEqual(clients, [], 'it is no client');
  await askForLanes(`${found?.socketPath}`, '3');
  assert.equal(lanes, 3);
  await assert.rejects(askForLanes(`${found?.socketPath}`, '0'), failsWith('DST_E_USAGE'));
});
