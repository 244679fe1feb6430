import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { skipWithout } from '../support/tools.js';

const DEMO = fileURLToPath(new URL('demo.js', import.meta.url));

test('the demo does what it says, with a small tree', {
  skip: skipWithout('nbdcopy', 'mke2fs', 'e2fsck'),
}, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [DEMO, 'src'], {
    cwd: REPOSITORY_ROOT,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /written in .* MiB\/s/);
  assert.match(stdout, /every byte is the same/);
});
