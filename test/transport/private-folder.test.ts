import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { usePrivateFolder } from '../../src/transport/quic/private-folder.js';
import { until } from '../support/wait.js';
import { certificatesFor, quicListener } from './fixtures.js';

const MODULE = new URL('../../src/transport/quic/private-folder.js', import.meta.url).href;

test('keys pass through a folder of our own only, and do not stay there', async (t) => {
  // Made before, so that they lie elsewhere.
  const { identity, authority } = await certificatesFor(t, ['127.0.0.1', 'localhost']);
  const shared = tmpdir();
  const before = new Set(readdirSync(shared));
  usePrivateFolder();
  const folder = tmpdir();
  assert.notEqual(folder, shared);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(process.umask(), 0o077);

  const listener = await quicListener(t, identity);
  const { port } = listener.address;
  for (const host of ['127.0.0.1', 'localhost']) {
    const connection = await dialQuic({ host, port, trust: authority });
    connection.close('seen');
  }
  await listener.close();
  await until(() => readdirSync(folder).length === 0, 'the end of the engine’s files');
  const added = readdirSync(shared).filter((name) => !before.has(name) && /http3|quic/.test(name));
  const ours = added.filter((name) => !name.startsWith('dst-quic-'));
  assert.deepEqual(ours, []);
});

test('a folder that was cleaned away is made again', async (t) => {
  const { identity, authority } = await certificatesFor(t, ['localhost']);
  const { port } = (await quicListener(t, identity)).address;
  const folder = tmpdir();
  rmSync(folder, { recursive: true });
  const connection = await dialQuic({ host: 'localhost', port, trust: authority });
  connection.close('seen');
  assert.equal(tmpdir(), folder);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
});

test('what somebody else has put in its place is not used', (t) => {
  usePrivateFolder();
  const folder = tmpdir();
  t.after(() => {
    rmSync(folder, { recursive: true });
    usePrivateFolder();
  });
  const refused = { code: 'DST_E_TEMPORARY_FOLDER', message: /is not ours alone any more/ };
  chmodSync(folder, 0o755);
  assert.throws(usePrivateFolder, refused);
  rmSync(folder, { recursive: true });
  writeFileSync(folder, '', { mode: 0o700 });
  assert.throws(usePrivateFolder, refused);
});

test('where there can be no folder, the error says so', () => {
  const script = `
    import { usePrivateFolder } from ${JSON.stringify(MODULE)};
    try { usePrivateFolder(); } catch ({ code, message }) { console.log(code, message); }`;
  const env = { ...process.env, TMPDIR: '/does/not/exist' };
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { env });
  assert.match(String(stdout), /^DST_E_TEMPORARY_FOLDER .*ENOENT.*set TMPDIR/);
});

test('the folder goes with the process', () => {
  const script = `
    import { usePrivateFolder } from ${JSON.stringify(MODULE)};
    usePrivateFolder();
    usePrivateFolder();
    console.log(process.env.TMPDIR);`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
  const folder = child.stdout.toString().trim();
  assert.match(folder, /dst-quic-/);
  assert.equal(existsSync(folder), false);
});
