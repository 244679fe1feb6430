import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { usePrivateFolder } from '../../src/transport/quic/private-folder.js';
import { until } from '../support/wait.js';
import { certificatesFor, quicListener } from './fixtures.js';

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

test('the folder goes with the process', () => {
  const url = new URL('../../src/transport/quic/private-folder.js', import.meta.url).href;
  const script = `
    import { usePrivateFolder } from ${JSON.stringify(url)};
    usePrivateFolder();
    usePrivateFolder();
    console.log(process.env.TMPDIR);`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
  const folder = child.stdout.toString().trim();
  assert.match(folder, /dst-quic-/);
  assert.equal(existsSync(folder), false);
});
