import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Client } from '../../src/cli/client-setup.js';
import { Connecting, type DeviceToServe } from '../../src/cli/connecting.js';
import { silentLog } from '../../src/log.js';
import { askToDisconnect, findClients } from '../../src/ops/control-client.js';
import { deviceRecord, ownRuntimeFolder } from '../ops/support.js';
import { soon } from '../support/wait.js';
import { failsWith } from '../transport/fixtures.js';

async function setUp(t: TestContext, toServe?: DeviceToServe) {
  ownRuntimeFolder(t);
  const client = {
    address: 'storage.example/disk',
    session: { exportName: 'disk', readOnly: true },
    route: { currentRoute: () => undefined },
    log: silentLog,
  } as unknown as Client;
  const connecting = await Connecting.start(client, toServe);
  t.after(() => connecting.end());
  const [found] = (await findClients()).clients;
  assert.ok(found !== undefined);
  return { connecting, ...found };
}

test('a client that has not reached its export yet is seen', async (t) => {
  const { status } = await setUp(t, { index: 3, left: undefined });
  assert.deepEqual(
    [status.pid, status.device, status.export, status.state, status.sizeBytes, status.readOnly],
    [process.pid, '/dev/nbd3', 'disk', 'connecting', undefined, true],
  );
});

test('it is asked to end, and answers when it has', async (t) => {
  const { connecting, socketPath } = await setUp(t);
  const answer = askToDisconnect(socketPath, false);
  assert.equal(await soon(connecting.asked, 'the question'), 'disconnect');
  assert.ok(connecting.isAsked);
  await connecting.end();
  await soon(answer, 'the answer');
  assert.deepEqual((await findClients()).clients, []);
});

test('one that takes a device over gives it up by force only', async (t) => {
  const { connecting, socketPath, status } = await setUp(t, { index: 3, left: deviceRecord() });
  assert.equal(status.sizeBytes, deviceRecord().sizeBytes);
  await assert.rejects(askToDisconnect(socketPath, false), failsWith('DST_E_CLIENT_STARTING'));
  assert.equal(connecting.isAsked, false);
  const answer = askToDisconnect(socketPath, true);
  await soon(connecting.asked, 'the question');
  await connecting.end();
  await soon(answer, 'the answer');
});
