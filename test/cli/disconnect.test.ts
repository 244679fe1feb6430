import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT } from '../../src/cli/exit.js';
import { chooseAttached } from '../../src/cli/run-disconnect.js';
import { DstError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import type { Attached } from '../../src/ops/attached.js';
import { startControl } from '../../src/ops/control-server.js';
import { DeviceFile } from '../../src/ops/device-record.js';
import { clientStatus, deviceRecord, ownRuntimeFolder } from '../ops/support.js';
import { failsWith } from '../transport/fixtures.js';
import { messageLines, runCommand } from './command.js';

const URI = 'nbd+unix:///data?socket=/run/x';
const NBD2: Attached = { status: clientStatus({ device: '/dev/nbd2', export: 'root' }) };
const NBD3: Attached = { status: clientStatus({ device: '/dev/nbd3', export: 'root' }) };
const SOCKET: Attached = { status: clientStatus({ uri: URI, export: 'data' }) };
const ALL = [NBD2, NBD3, SOCKET];

test('what is attached is found by device, by URI and by name', () => {
  assert.equal(chooseAttached(ALL, '/dev/nbd3'), NBD3);
  assert.equal(chooseAttached(ALL, 'nbd2'), NBD2);
  assert.equal(chooseAttached(ALL, URI), SOCKET);
  assert.equal(chooseAttached(ALL, 'data'), SOCKET);
});

test('a device goes before an export of its name', () => {
  const misleading: Attached = { status: clientStatus({ uri: URI, export: 'nbd2' }) };
  assert.equal(chooseAttached([misleading, NBD2], 'nbd2'), NBD2);
});

test('a name that is attached twice is refused, with what to give', () => {
  assert.throws(() => chooseAttached(ALL, 'root'), {
    code: 'DST_E_AMBIGUOUS',
    message: '"root" is attached more than once: give one of /dev/nbd2, /dev/nbd3',
  });
});

test('what is not attached is said to be not', () => {
  for (const what of ['/dev/nbd4', 'nbd4', 'other', '']) {
    assert.throws(() => chooseAttached(ALL, what), failsWith('DST_E_NOT_ATTACHED'));
  }
  assert.throws(() => chooseAttached(ALL, '/dev/nbd2p1'), failsWith('DST_E_DEVICE_NAME'));
});

test('clients that do not answer are named where it may be one of them', () => {
  const silent: Attached = { status: { pid: 12, state: 'silent' } };
  assert.equal(chooseAttached([...ALL, silent], 'data'), SOCKET);
  assert.throws(() => chooseAttached([...ALL, silent], 'other'), {
    code: 'DST_E_CLIENT_SILENT',
    message: /serves "other", and process 12 may/,
  });
});

test('a client that goes on has its reason printed', async (t) => {
  ownRuntimeFolder(t);
  const forces: boolean[] = [];
  const control = await startControl({
    index: 3,
    status: () => clientStatus({ device: '/dev/nbd3' }),
    disconnect: async (force) => {
      forces.push(force);
      throw new DstError('DST_E_DEVICE_BUSY', 'mounted on /mnt');
    },
    log: silentLog,
  });
  t.after(() => control.close());
  const outcome = await runCommand(t, ['disconnect', 'nbd3', '--force']);
  assert.equal(outcome.code, EXIT.failure);
  assert.deepEqual(messageLines(outcome), ['dst-quic: mounted on /mnt (DST_E_DEVICE_BUSY)']);
  assert.deepEqual(forces, [true]);
});

test('a client that does not serve its device yet is named', async (t) => {
  ownRuntimeFolder(t);
  const file = await DeviceFile.lock(3);
  t.after(() => file.release());
  file.save(deviceRecord());
  const outcome = await runCommand(t, ['disconnect', 'disk']);
  assert.equal(outcome.code, EXIT.failure);
  assert.match(
    outcome.stderr,
    new RegExp(
      `^dst-quic: /dev/nbd3: process ${process.pid} is about to serve it: .*CLIENT_STARTING`,
    ),
  );
});
