/** The files of examples/ do what they say. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { settingsOf } from '../../src/cli/config-schema.js';
import { createProgram } from '../../src/cli/program.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { folderWithCertificates, startCommand, startExport, temporaryFolder } from './command.js';

const EXAMPLES = join(REPOSITORY_ROOT, 'examples');
const STORE_BYTES = 1024 * 1024;

test('a client with client.yaml reaches an export with export.yaml', async (t) => {
  const folder = await folderWithCertificates(t);
  for (const name of ['export.yaml', 'client.yaml']) {
    copyFileSync(join(EXAMPLES, name), join(folder, name));
  }
  writeFileSync(join(folder, 'disk.img'), '');
  truncateSync(join(folder, 'disk.img'), STORE_BYTES);

  // From another folder: what the files name lies beside them. Ports of tests are any.
  const elsewhere = temporaryFolder(t);
  const exporting = await startExport(t, elsewhere, ['--config', join(folder, 'export.yaml')]);
  const names = exporting.addresses.map((address) => new URL(address).pathname);
  assert.deepEqual(names, ['/root', '/scratch']);
  const { host } = new URL(exporting.addresses[0] ?? '');
  const words = ['connect', `${host}/root`, '--config', join(folder, 'client.yaml')];
  const connecting = startCommand(t, words, { cwd: elsewhere });
  assert.equal(await connecting.line(0), `ready nbd+unix:///root?socket=${folder}/root.sock`);
  assert.equal((await connecting.stop()).code, 0);
  assert.equal((await exporting.stop()).code, 0);
  assert.equal(existsSync(join(elsewhere, 'root.sock')), false);
});

for (const [name, command] of [
  ['export.yaml', 'export'],
  ['client.yaml', 'connect'],
] as const) {
  test(`what ${name} has as a comment is a setting, too`, () => {
    const found = createProgram().commands.find((each) => each.name() === command);
    assert.ok(found);
    const known = settingsOf(found);
    const text = readFileSync(join(EXAMPLES, name), 'utf8');
    const keys = [...text.matchAll(/^#(?<key>[a-z-]+):/gm)].map(({ groups }) => groups?.key ?? '');
    assert.ok(keys.length > 0);
    for (const key of keys) assert.ok(known.has(key), key);
  });
}
