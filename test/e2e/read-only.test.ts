/** Whoever makes a device read-only, the programs see that, and their changes are refused. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { nbdsh, type PairOptions, startPair, tool } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

const WAYS: Readonly<Record<string, PairOptions>> = {
  'the export': { exportArgs: ['--read-only'] },
  'a rule of the export': { exportArgs: ['--allow', '192.0.2.1', '--allow', '127.0.0.0/8=ro'] },
  'the client': { connectArgs: ['--read-only'] },
};

/** Without its own checks libnbd sends what a hand-made client would. */
const CHANGES = [
  'h.set_strict_mode(0)',
  'import errno',
  'def refused(change):',
  '  try:',
  '    change()',
  '  except nbd.Error as error:',
  '    assert error.errnum == errno.EPERM, error',
  '    return',
  '  raise AssertionError("not refused")',
  'refused(lambda: h.pwrite(b"x" * 512, 0))',
  'refused(lambda: h.trim(512, 0))',
  'refused(lambda: h.zero(512, 0))',
  'assert h.pread(512, 0) == bytes(512)',
];

for (const [who, options] of Object.entries(WAYS)) {
  test(`a device that ${who} made read-only`, {
    skip: skipWithout('nbdinfo', 'nbdsh'),
  }, async (t) => {
    const pair = await startPair(t, { sizeBytes: 1024 * 1024, ...options });
    const info = JSON.parse(await tool(t, 'nbdinfo', '--json', pair.uri));
    assert.equal(info.exports[0].is_read_only, true);
    await nbdsh(t, pair.uri, ...CHANGES);
    await pair.stop();
    assert.ok(readFileSync(pair.storePath).every((byte) => byte === 0));
  });
}
