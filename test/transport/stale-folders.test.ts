import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { folderPrefix, removeStaleFolders } from '../../src/transport/quic/stale-folders.js';

// Taken before anything gives this process another one.
const TEMPORARY = tmpdir();

function newParent(t: TestContext): string {
  const parent = mkdtempSync(join(TEMPORARY, 'dst-stale-test-'));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  return parent;
}

/** A folder as a process made it that has been dead since; some of its name may be another. */
function deadFolder(parent: string, change = (name: string) => name): string {
  const { pid } = spawnSync('true');
  const name = change(folderPrefix().replace(`-${process.pid}-`, `-${pid}-`));
  const folder = join(parent, `${name}AbC123`);
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, 'http3_key.pem'), 'key', { mode: 0o600 });
  return folder;
}

test('the folder of a dead process is removed, with what is in it', (t) => {
  const parent = newParent(t);
  const folder = deadFolder(parent);
  removeStaleFolders(parent);
  assert.equal(existsSync(folder), false);
});

test('the folder of a process that lives stays', (t) => {
  const parent = newParent(t);
  const own = mkdtempSync(join(parent, folderPrefix()));
  removeStaleFolders(parent);
  assert.equal(existsSync(own), true);
});

test('a process id that another process has by now does not keep a folder', (t) => {
  const parent = newParent(t);
  const earlier = folderPrefix().replace(/-[0-9]+-$/, '-1-');
  const folder = join(parent, `${earlier}AbC123`);
  mkdirSync(folder, { mode: 0o700 });
  removeStaleFolders(parent);
  assert.equal(existsSync(folder), false);
});

test('what may be another boot’s, another machine’s or another user’s stays', (t) => {
  const parent = newParent(t);
  const otherMachine = deadFolder(parent, (name) =>
    name.replace(/^dst-quic-[0-9a-f]+/, 'dst-quic-00000000'),
  );
  const otherName = deadFolder(parent, (name) => `x${name}`);
  const open = deadFolder(parent);
  chmodSync(open, 0o755);
  const target = newParent(t);
  writeFileSync(join(target, 'kept'), '');
  const { pid } = spawnSync('true');
  const link = join(parent, `${folderPrefix().replace(`-${process.pid}-`, `-${pid}-`)}AbC123`);
  symlinkSync(target, link);
  removeStaleFolders(parent);
  for (const path of [otherMachine, otherName, open, link])
    assert.equal(existsSync(path), true, path);
  assert.deepEqual(readdirSync(target), ['kept']);
});

test('a folder that cannot be looked into is left alone', () => {
  removeStaleFolders('/does/not/exist');
});

test('the next process clears up after one that was killed', async (t) => {
  const parent = newParent(t);
  const env = { ...process.env, TMPDIR: parent };
  const url = new URL('../../src/transport/quic/private-folder.js', import.meta.url).href;
  const use = `import { usePrivateFolder } from ${JSON.stringify(url)}; usePrivateFolder();`;
  const killed = spawn(
    process.execPath,
    ['--input-type=module', '-e', `${use} console.log(1); setInterval(() => {}, 1000);`],
    { env, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.after(() => killed.kill('SIGKILL'));
  await once(killed.stdout, 'data');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  assert.equal(readdirSync(parent).length, 1);
  assert.equal(spawnSync(process.execPath, ['--input-type=module', '-e', use], { env }).status, 0);
  assert.deepEqual(readdirSync(parent), []);
});
