/** What `make install` puts in place, and that it works from there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createProgram } from '../../src/cli/program.js';
import { VERSION } from '../../src/version.js';
import { suiteCleanup } from '../support/cleanup.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { skipWithout } from '../support/tools.js';
import { temporaryFolder } from './command.js';

/** Where these tests were compiled to. */
const BUILT = relative(REPOSITORY_ROOT, fileURLToPath(new URL('../..', import.meta.url)));

/** As root with a umask that lets nobody else read. */
function make(target: string, folder: string, path = process.env.PATH) {
  const words = [target, `DESTDIR=${folder}`, 'PREFIX=/opt/dst', `BUILT=${BUILT}`];
  const command = ['make', '--silent', ...words, `NODE=${process.execPath}`];
  return spawnSync('sh', ['-c', 'umask 077; exec "$@"', 'sh', ...command], {
    cwd: REPOSITORY_ROOT,
    env: { ...process.env, PATH: path },
    encoding: 'utf8',
  });
}

function versionOf(program: string) {
  const environment = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  return spawnSync(program, ['--version'], { env: environment, encoding: 'utf8' });
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((each) => !each.isDirectory())
    .map(({ name, parentPath, path }) => relative(folder, join(parentPath ?? path, name)));
}

describe('make install', { skip: skipWithout('make', 'tar', 'npm') }, () => {
  const cleanup = suiteCleanup();
  let destination = '';
  let prefix = '';

  before(() => {
    destination = temporaryFolder(cleanup);
    prefix = join(destination, 'opt/dst');
    const { status, stderr } = make('install-built', destination);
    assert.equal(status, 0, stderr);
  });

  test('puts a command there that runs', () => {
    const { stdout, stderr } = versionOf(join(prefix, 'bin/dst-quic'));
    assert.equal(stderr, '');
    assert.equal(stdout, `${VERSION}\n`);
  });

  test('puts nothing there that others may not read', () => {
    const top = join(destination, 'opt');
    const paths = readdirSync(top, { recursive: true, encoding: 'utf8' });
    const unreadable = ['', ...paths].filter((path) => {
      const stats = lstatSync(join(top, path));
      const needed = stats.isDirectory() ? 0o055 : 0o044;
      return (stats.mode & needed) !== needed;
    });
    assert.deepEqual(unreadable, []);
  });

  test('puts what a command needs there, and not what developers do', () => {
    const modules = join(prefix, 'lib/dst-quic/node_modules');
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(join(REPOSITORY_ROOT, 'package.json'), 'utf8'),
    );
    const there = new Set(readdirSync(modules));
    for (const name of Object.keys(dependencies)) assert.ok(there.has(name.split('/')[0] ?? ''));
    for (const name of Object.keys(devDependencies)) assert.ok(!there.has(name), name);
  });

  test('puts a page for each command, completions, documents and examples there', () => {
    const pages = ['dst-quic.8', ...createProgram().commands.map((c) => `dst-quic-${c.name()}.8`)];
    assert.deepEqual(readdirSync(join(prefix, 'share/man/man8')).sort(), pages.sort());
    const shared = filesIn(join(prefix, 'share'));
    for (const path of [
      'bash-completion/completions/dst-quic',
      'zsh/site-functions/_dst-quic',
      'fish/vendor_completions.d/dst-quic.fish',
      'doc/dst-quic/README.md',
      'doc/dst-quic/examples/client.yaml',
    ]) {
      assert.ok(shared.includes(path), path);
    }
  });

  for (const [unit, file] of [
    ['dst-quic@.service', '/etc/dst-quic/%i.conf'],
    ['dst-quic-export@.service', '/etc/dst-quic/export/%i.conf'],
  ] as const) {
    test(`${unit} starts the command that is there, with words that it knows`, async (t) => {
      const text = readFileSync(join(prefix, 'lib/systemd/system', unit), 'utf8');
      const [program, ...words] =
        /^ExecStart=(?<line>.*)$/m.exec(text)?.groups?.line?.split(' ') ?? [];
      assert.equal(program, '/opt/dst/bin/dst-quic');
      assert.deepEqual(words.slice(1), ['--config', file]);
      // An empty file is taken, and leaves open what the command must have.
      const path = join(temporaryFolder(t), 'empty.conf');
      writeFileSync(path, '');
      const parsing = createProgram().parseAsync(
        words.map((word) => word.replace(file, path)),
        { from: 'user' },
      );
      await assert.rejects(parsing, /missing required argument|required option '--cert <file>'/);
    });
  }

  test('systemd takes the units', { skip: skipWithout('systemd-analyze') }, (t) => {
    const folder = join(temporaryFolder(t), 'units');
    mkdirSync(folder);
    const units = join(prefix, 'lib/systemd/system');
    for (const unit of readdirSync(units)) {
      // It looks whether the program is there.
      const text = readFileSync(join(units, unit), 'utf8').replaceAll(
        '/opt/dst/bin',
        join(prefix, 'bin'),
      );
      writeFileSync(join(folder, unit.replace('@', '@test')), text);
    }
    const paths = readdirSync(folder).map((name) => join(folder, name));
    const verified = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], {
      encoding: 'utf8',
    });
    assert.equal(verified.stderr, '');
    assert.equal(verified.status, 0);
  });

  test('leaves what is installed where it cannot install', (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'npm'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const { status } = make('install-built', destination, `${folder}:${process.env.PATH}`);
    assert.notEqual(status, 0);
    assert.equal(versionOf(join(prefix, 'bin/dst-quic')).stdout, `${VERSION}\n`);
    assert.ok(filesIn(prefix).includes('lib/systemd/system/dst-quic@.service'));
  });

  // The last of them, as it ends what they have in common.
  test('make uninstall takes all of it away again', () => {
    assert.equal(make('uninstall', destination).status, 0);
    assert.deepEqual(filesIn(destination), []);
  });
});
