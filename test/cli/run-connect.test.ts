import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT } from '../../src/cli/exit.js';
import { runCommand } from './command.js';

test('the configuration of a device cannot be a pipe, as it is read twice', async (t) => {
  // Standard input is /dev/null here, which is no file either.
  const words = ['--cert', 'ca.pem', '--device', 'nbd0', '--config', '/dev/stdin'];
  const { code, stderr } = await runCommand(t, ['connect', 'storage.example/disk', ...words]);
  assert.equal(code, EXIT.usage);
  assert.match(stderr, /\/dev\/stdin is no file.*\(DST_E_CONFIG\)/);
});
