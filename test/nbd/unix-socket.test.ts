import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { silentLog } from '../../src/log.js';
import { Bridge } from '../../src/nbd/bridge.js';
import { checkSocketPath } from '../../src/nbd/unix-socket.js';
import { RawClient, temporaryFolder } from './support.js';

async function listen(t: TestContext, path: string): Promise<Bridge> {
  const bridge = await Bridge.listen({
    exportName: 'disk',
    device: new MemoryDevice(4096),
    listen: { path },
    log: silentLog,
  });
  t.after(() => bridge.close(0));
  return bridge;
}

/** Leaves a socket at `path` whose process was killed. */
async function leaveStaleSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('only its owner may connect, whatever the umask', async (t) => {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const before = process.umask(0);
  t.after(() => process.umask(before));
  await listen(t, path);
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
});

test('the address names the socket, with odd characters encoded', async (t) => {
  const folder = await temporaryFolder(t);
  const bridge = await listen(t, join(folder, 'a b&c.sock'));
  assert.equal(bridge.uri, `nbd+unix:///disk?socket=${folder}/a%20b%26c.sock`);
});

test('nothing but the socket is left in its folder', async (t) => {
  const folder = await temporaryFolder(t);
  const bridge = await listen(t, join(folder, 'nbd.sock'));
  assert.deepEqual(readdirSync(folder), ['nbd.sock']);
  await bridge.close(0);
  assert.deepEqual(readdirSync(folder), []);
});

test('a path that is too long is refused', async (t) => {
  const path = join(await temporaryFolder(t), 'x'.repeat(108));
  await assert.rejects(listen(t, path), {
    code: 'DST_E_SOCKET_PATH',
    message: /bytes too long for a socket: choose a shorter path/,
  });
});

test('a folder that is not there is refused', async (t) => {
  const path = join(await temporaryFolder(t), 'missing', 'nbd.sock');
  await assert.rejects(listen(t, path), { code: 'DST_E_SOCKET_PATH' });
});

test('the socket of a dead process is replaced', async (t) => {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  await leaveStaleSocket(path);
  assert(lstatSync(path).isSocket());
  await listen(t, path);
  await RawClient.ready(t, path);
});

test('the socket of a live process is not touched', async (t) => {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const server = createServer((socket) => socket.destroy()).listen(path);
  t.after(() => server.close());
  await once(server, 'listening');
  const before = lstatSync(path).ino;
  await assert.rejects(listen(t, path), { code: 'DST_E_SOCKET_IN_USE', message: new RegExp(path) });
  assert.equal(lstatSync(path).ino, before);
});

test('a file that is not a socket is not touched', async (t) => {
  const path = join(await temporaryFolder(t), 'precious');
  writeFileSync(path, 'data');
  await assert.rejects(listen(t, path), { code: 'DST_E_SOCKET_PATH', message: /not a socket/ });
  assert.equal(readFileSync(path, 'utf8'), 'data');
});

test("closing does not remove a successor's socket", async (t) => {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const first = await listen(t, path);
  await rm(path);
  await listen(t, path);
  await first.close(0);
  await RawClient.ready(t, path);
});

test('what will not do is known before there is anything to serve', async (t) => {
  const folder = await temporaryFolder(t);
  const live = join(folder, 'live.sock');
  await listen(t, live);
  writeFileSync(join(folder, 'precious'), 'data');
  for (const [path, code] of [
    [live, 'DST_E_SOCKET_IN_USE'],
    [join(folder, 'precious'), 'DST_E_SOCKET_PATH'],
    [join(folder, 'missing', 'nbd.sock'), 'DST_E_SOCKET_PATH'],
    [join(folder, 'x'.repeat(108)), 'DST_E_SOCKET_PATH'],
  ] as const) {
    await assert.rejects(checkSocketPath(path), { code });
  }
});

test('what will do is left as it is until there is something to serve', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'nbd.sock');
  await leaveStaleSocket(path);
  const before = lstatSync(path).ino;
  await checkSocketPath(path);
  assert.equal(lstatSync(path).ino, before);
  await checkSocketPath(join(folder, 'other.sock'));
  assert.deepEqual(readdirSync(folder), ['nbd.sock']);
});
