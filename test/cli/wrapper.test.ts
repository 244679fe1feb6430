import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { VERSION } from '../../src/version.js';
import { REPOSITORY_ROOT } from '../support/paths.js';

const WRAPPER = join(REPOSITORY_ROOT, 'bin/dst-quic');

test('bin/dst-quic starts the command, also through a link as npm makes one', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'dst-quic-wrapper-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const link = join(folder, 'dst-quic');
  symlinkSync(WRAPPER, link);
  for (const command of [WRAPPER, link]) {
    assert.equal(spawnSync(command, ['--version']).stdout.toString(), `${VERSION}\n`);
  }
});

test('bin/dst-quic passes arguments and the exit code on', () => {
  const { status, stderr } = spawnSync(WRAPPER, ['export', '--name', 'two words']);
  assert.equal(status, 2);
  assert.match(stderr.toString(), /^dst-quic: /);
});
