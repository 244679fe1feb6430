import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createProgram } from '../../src/cli/program.js';
import { CHECKSUM_NAMES } from '../../wasm/checksums.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { runCommand } from './command.js';
import { runInProcess } from './in-process.js';

const COMMANDS = createProgram().commands;

test('the commands are those of the README', () => {
  const names = COMMANDS.map((command) => command.name());
  assert.deepEqual(names, [
    'export',
    'connect',
    'status',
    'disconnect',
    'lanes',
    'list',
    'info',
    'cert',
  ]);
});

describe('help', () => {
  for (const command of COMMANDS) {
    test(`${command.name()} --help has an example and explains everything`, async (t) => {
      const { code, stdout, stderr } = await runInProcess(t, [command.name(), '--help']);
      assert.equal(code, 0);
      assert.equal(stderr, '');
      assert.match(stdout, new RegExp(`Examples?:\n +\\$ dst-quic ${command.name()} `));
      for (const option of command.options) {
        assert.ok(option.description.length > 0, `${option.long} is not explained`);
        assert.match(option.long ?? '', /^--[a-z]+(-[a-z]+)*$/);
      }
      for (const argument of command.registeredArguments) assert.ok(argument.description);
    });
  }

  test('--checksum lists every checksum', () => {
    for (const name of ['export', 'connect']) {
      const command = COMMANDS.find((each) => each.name() === name);
      const option = command?.options.find(({ long }) => long === '--checksum');
      for (const checksum of CHECKSUM_NAMES) assert.ok(option?.description.includes(checksum));
    }
  });

  test('--version is that of the package', async (t) => {
    const text = readFileSync(join(REPOSITORY_ROOT, 'package.json'), 'utf8');
    const { code, stdout } = await runCommand(t, ['--version']);
    assert.equal(code, 0);
    assert.equal(stdout.trim(), JSON.parse(text).version);
  });

  test('no command at all shows the help as an error', async (t) => {
    const { code, stdout, stderr } = await runInProcess(t, []);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^Usage: dst-quic/);
  });
});
