import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT } from '../../src/cli/exit.js';
import { silentLog } from '../../src/log.js';
import { startControl } from '../../src/ops/control-server.js';
import { DeviceFile } from '../../src/ops/device-record.js';
import { clientStatus, deviceRecord, ownRuntimeFolder } from '../ops/support.js';
import { runCommand } from './command.js';

test('nothing attached is no failure', async (t) => {
  ownRuntimeFolder(t);
  const [text, json] = await Promise.all([
    runCommand(t, ['status']),
    runCommand(t, ['status', '--json']),
  ]);
  assert.deepEqual(
    [text.code, text.stdout, text.stderr],
    [EXIT.ok, '', 'dst-quic: nothing is attached\n'],
  );
  assert.deepEqual([json.code, json.stdout, json.stderr], [EXIT.ok, '[]\n', '']);
});

test('what is attached is shown, as a table or as JSON', async (t) => {
  ownRuntimeFolder(t);
  const uri = 'nbd+unix:///disk?socket=/x';
  const control = await startControl({
    status: () => clientStatus({ uri, transport: 'quic', lanes: 3, lanesWanted: 4 }),
    disconnect: async () => {},
    log: silentLog,
  });
  t.after(() => control.close());
  const file = await DeviceFile.lock(3);
  t.after(() => file.release());
  file.save(deviceRecord({ transmissionFlags: 3 }));
  const [table, json] = await Promise.all([
    runCommand(t, ['status']),
    runCommand(t, ['status', '--json']),
  ]);
  const [heading, ...rows] = table.stdout.split('\n').map((line) => line.split(/ {2,}/));
  assert.deepEqual(heading, [
    'DEVICE',
    'EXPORT',
    'ADDRESS',
    'TRANSPORT',
    'LANES',
    'STATE',
    'SIZE',
    'IN FLIGHT',
    'SINCE',
  ]);
  const { address, since } = clientStatus();
  assert.deepEqual(rows.slice(0, 2), [
    ['/dev/nbd3', 'disk', address, '-', '-', 'starting', '1 GiB read-only', '-', since],
    [uri, 'disk', address, 'quic', '3/4', 'connected', '1 GiB', '2', since],
  ]);
  const [device, client] = JSON.parse(json.stdout);
  assert.deepEqual([device.device, device.state, device.readOnly], ['/dev/nbd3', 'starting', true]);
  assert.deepEqual(client, clientStatus({ uri, transport: 'quic', lanes: 3, lanesWanted: 4 }));
});
