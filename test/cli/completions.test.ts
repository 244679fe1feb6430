import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { bashCompletion, fishCompletion, zshCompletion } from '../../src/cli/completions.js';
import { createProgram } from '../../src/cli/program.js';
import { skipWithout } from '../support/tools.js';
import { temporaryFolder } from './command.js';

const PROGRAM = createProgram();

/** Looks for devices in the current folder rather than in /dev. */
function withDevicesHere(completion: string): string {
  return completion.replaceAll('/dev/nbd*', './nbd*');
}

/** What bash offers for the last of these words, in this folder. */
function offered(words: readonly string[], cwd?: string): string[] {
  const script = `compopt() { :; }
${withDevicesHere(bashCompletion(PROGRAM))}
COMP_WORDS=(dst-quic "$@") COMP_CWORD=$#
_dst_quic
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], {
    cwd,
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  return stdout.split('\n').filter((line) => line !== '');
}

describe('bash completes', { skip: skipWithout('bash') }, () => {
  test('commands', () => {
    const commands = PROGRAM.commands.map((command) => command.name());
    assert.deepEqual(offered(['']).slice(0, commands.length), commands);
    assert.deepEqual(offered(['exp']), ['export']);
  });

  test('the options of a command, and those of all', () => {
    assert.deepEqual(offered(['connect', '--max-res']), ['--max-resends']);
    assert.deepEqual(offered(['connect', '--log-']), ['--log-level', '--log-format']);
    assert.deepEqual(offered(['cert', '--max-res']), []);
  });

  test('choices', () => {
    assert.deepEqual(offered(['list', '--log-format', '']), ['text', 'json']);
    assert.deepEqual(offered(['connect', '--max-resends', '']), ['inf']);
    assert.deepEqual(offered(['connect', '--device', 'au']), ['auto']);
  });

  test('what follows a value of an option of the program, which may be a command by its name', () => {
    assert.deepEqual(offered(['--log-level', 'info', 'status', '--js']), ['--json']);
    assert.deepEqual(offered(['--log-level', '=', 'info', 'status', '--js']), ['--json']);
    assert.deepEqual(offered(['--log-level', 'info', 'stat']), ['status']);
    assert.deepEqual(offered(['--log-format', '']), ['text', 'json']);
  });

  test('a value behind "="', (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'export.yaml'), '');
    assert.deepEqual(offered(['export', '--config', '=', 'ex'], folder), ['export.yaml']);
    assert.deepEqual(offered(['export', '--config', '='], folder), ['export.yaml']);
    assert.deepEqual(offered(['connect', '--device', '=', 'au'], folder), ['auto']);
  });

  test('devices, where an option or argument may be one', (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'nbd0'), '');
    assert.deepEqual(offered(['connect', '--device', ''], folder), ['./nbd0', 'auto']);
    assert.deepEqual(offered(['disconnect', './n'], folder), ['./nbd0']);
    assert.deepEqual(offered(['status', './n'], folder), []);
  });

  test('files, where an option or argument is one', (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'two words.pem'), '');
    mkdirSync(join(folder, 'sub'));
    assert.deepEqual(offered(['export', '--cert', ''], folder).sort(), ['sub', 'two words.pem']);
    assert.deepEqual(offered(['export', 'tw'], folder), ['two words.pem']);
    assert.deepEqual(offered(['list', 'tw'], folder), []);
  });

  test('nothing for a value that only its user knows', () => {
    assert.deepEqual(offered(['connect', '--ping-interval', '']), []);
  });
});

describe('completions for other shells', () => {
  test('zsh takes its file', { skip: skipWithout('zsh') }, (t) => {
    const path = join(temporaryFolder(t), '_dst-quic');
    writeFileSync(path, zshCompletion(PROGRAM));
    assert.equal(spawnSync('zsh', ['-n', path]).stderr.toString(), '');
  });

  test('fish completes', { skip: skipWithout('fish') }, (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'dst-quic.fish'), withDevicesHere(fishCompletion(PROGRAM)));
    writeFileSync(join(folder, 'nbd0'), '');
    const script = `source dst-quic.fish
complete -C 'dst-quic conn'; complete -C 'dst-quic connect --log-format '; complete -C 'dst-quic connect --tak'
complete -C 'dst-quic disconnect ./n'`;
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], {
      cwd: folder,
      env: { ...process.env, HOME: folder },
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    const words = stdout.split('\n').map((line) => line.split('\t')[0]);
    assert.deepEqual(words, ['connect', 'json', 'text', '--takeover', './nbd0', '']);
  });

  test('the devices of the kernel are offered where one is asked for', () => {
    assert.match(bashCompletion(PROGRAM), /'connect --device'\) .*'\/dev\/nbd\*'/);
    assert.match(zshCompletion(PROGRAM), /--device=.*_files -g "\/dev\/nbd\*"/);
    assert.match(
      zshCompletion(PROGRAM),
      / disconnect\)[^;]*'\*:what:\{_files -g "\/dev\/nbd\*"\}'/,
    );
    assert.match(fishCompletion(PROGRAM), / -l device .*\/dev\/nbd\*/);
  });

  test('every option of every command is in them', () => {
    const zsh = zshCompletion(PROGRAM);
    const fish = fishCompletion(PROGRAM);
    for (const { options } of PROGRAM.commands) {
      for (const option of options) {
        assert.ok(zsh.includes(`${option.long}=[`) || zsh.includes(`${option.long}[`), option.long);
        assert.ok(fish.includes(` -l ${option.name()} `), option.long);
      }
    }
  });
});
