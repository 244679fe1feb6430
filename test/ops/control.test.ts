import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { DstError } from '../../src/errors.js';
import { askToDisconnect, findClients } from '../../src/ops/control-client.js';
import type { ClientStatus } from '../../src/ops/control-messages.js';
import { noting } from '../export/support.js';
import { soon, until } from '../support/wait.js';
import { failsWith } from '../transport/fixtures.js';
import { clientStatus, ownRuntimeFolder, startClient } from './support.js';

/** A user of most systems; here only one who is not root. */
const NOBODY = 65534;

/** The path of the one client that there is. */
async function onlySocket(): Promise<string> {
  const { clients } = await findClients();
  assert.equal(clients.length, 1);
  return `${clients[0]?.socketPath}`;
}

test('clients say how they do', async (t) => {
  const folder = join(ownRuntimeFolder(t), 'clients');
  const status: ClientStatus = clientStatus({ transport: 'quic', device: '/dev/nbd3' });
  await startClient(t);
  await startClient(t, { index: 3, status: () => status });
  const { clients, silent } = await findClients();
  assert.deepEqual(clients, [
    { socketPath: join(folder, `${process.pid}.sock`), status: clientStatus() },
    { socketPath: join(folder, 'nbd3.sock'), status },
  ]);
  assert.deepEqual(silent, []);
});

test('only its owner may connect', async (t) => {
  ownRuntimeFolder(t);
  await startClient(t);
  assert.equal(lstatSync(await onlySocket()).mode & 0o777, 0o600);
});

test('nothing is left of a client that has closed its socket', async (t) => {
  const folder = ownRuntimeFolder(t);
  await (await startClient(t)).close();
  assert.deepEqual(readdirSync(join(folder, 'clients')), []);
  assert.deepEqual(await findClients(), { clients: [], silent: [] });
});

test('a client is asked to disconnect, by force where that is meant', async (t) => {
  ownRuntimeFolder(t);
  const asked: boolean[] = [];
  await startClient(t, {
    disconnect: async (force) => {
      asked.push(force);
    },
  });
  const path = await onlySocket();
  await askToDisconnect(path, false);
  await askToDisconnect(path, true);
  assert.deepEqual(asked, [false, true]);
});

test('a client that goes on says why', async (t) => {
  ownRuntimeFolder(t);
  await startClient(t, {
    disconnect: async () => {
      throw new DstError('DST_E_DEVICE_BUSY', 'it is mounted on /mnt');
    },
  });
  await assert.rejects(askToDisconnect(await onlySocket(), false), {
    code: 'DST_E_DEVICE_BUSY',
    message: 'it is mounted on /mnt',
  });
});

test('a failure without a code is told as well', async (t) => {
  ownRuntimeFolder(t);
  await startClient(t, {
    disconnect: async () => {
      throw new Error('a surprise');
    },
  });
  await assert.rejects(askToDisconnect(await onlySocket(), false), {
    code: 'DST_E_UNEXPECTED',
    message: 'a surprise',
  });
});

test('what a client does not know is refused', async (t) => {
  ownRuntimeFolder(t);
  await startClient(t, { disconnect: () => assert.fail('asked to disconnect') });
  const asking = request({ socketPath: await onlySocket(), path: '/disconnect', agent: false });
  const [response] = await soon(once(asking.end(), 'response'), 'the answer');
  assert.equal(response.statusCode, 409);
  assert.match(`${await text(response)}`, /"code":"DST_E_CONTROL"/);
});

test('a client that ends before it has answered is told of', async (t) => {
  ownRuntimeFolder(t);
  let asked = () => {};
  const disconnecting = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const control = await startClient(t, {
    disconnect: () => {
      asked();
      return new Promise(() => {});
    },
  });
  const asking = askToDisconnect(await onlySocket(), false);
  await soon(disconnecting, 'the question');
  await Promise.all([
    assert.rejects(asking, failsWith('DST_E_CONTROL')),
    soon(control.close(0), 'the end of its socket'),
  ]);
});

test('an answer that is due goes out before the socket is closed', async (t) => {
  ownRuntimeFolder(t);
  let closing: Promise<void> | undefined;
  const control = await startClient(t, {
    disconnect: async () => {
      closing = control.close();
      await until(() => !existsSync(path), 'the socket to be closed');
    },
  });
  const path = await onlySocket();
  await askToDisconnect(path, false);
  await soon(closing ?? Promise.reject(new Error('it was not asked')), 'the end of its socket');
});

test('a client that does not answer is told apart from those that do', async (t) => {
  const folder = join(ownRuntimeFolder(t), 'clients');
  await startClient(t);
  const mute = createServer();
  t.after(() => mute.close());
  await once(mute.listen(join(folder, '1.sock')), 'listening');
  const held: { destroy(): void }[] = [];
  mute.on('connection', (socket) => held.push(socket));
  t.after(() => held.forEach((socket) => void socket.destroy()));
  const { clients, silent } = await findClients(50);
  assert.equal(clients.length, 1);
  assert.deepEqual(silent, [join(folder, '1.sock')]);
});

test('an answer that is no status is none', async (t) => {
  const folder = ownRuntimeFolder(t);
  await startClient(t, { index: 3, status: () => ({}) as ClientStatus });
  const { clients, silent } = await findClients();
  assert.deepEqual([clients, silent], [[], [join(folder, 'clients/nbd3.sock')]]);
});

test('sockets of killed processes are passed over, and removed', async (t) => {
  const folder = join(ownRuntimeFolder(t), 'clients');
  mkdirSync(folder);
  for (const name of ['77.sock', 'nbd7.sock']) await leaveStaleSocket(t, join(folder, name));
  writeFileSync(join(folder, 'other'), '');
  assert.deepEqual(await findClients(), { clients: [], silent: [] });
  // The next client of the device replaces the other, and may be about to.
  assert.deepEqual(readdirSync(folder), ['nbd7.sock', 'other']);
});

test('sockets of other users are passed over', async (t) => {
  const folder = ownRuntimeFolder(t);
  await startClient(t);
  const path = await onlySocket();
  chmodSync(folder, 0o755);
  chmodSync(join(folder, 'clients'), 0o755);
  chmodSync(path, 0);
  await asNobody(async () => assert.deepEqual(await findClients(), { clients: [], silent: [] }));
  assert.ok(existsSync(path));
});

/** Root may do everything. */
async function asNobody(look: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(NOBODY);
  try {
    await look();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test('a client does without a control socket where none can be made', async (t) => {
  const folder = ownRuntimeFolder(t);
  process.env.DST_QUIC_RUNTIME_DIR = join(folder, 'file');
  writeFileSync(join(folder, 'file'), '');
  const lines: { details: unknown; line: unknown }[] = [];
  await (await startClient(t, { log: noting(lines) })).close();
  assert.match(`${lines[0]?.line}`, /^"dst-quic status" will not show this client: /);
});

async function leaveStaleSocket(t: TestContext, path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await soon(once(child.stdout, 'data'), 'the socket');
  child.kill('SIGKILL');
  await once(child, 'exit');
}
