/** What `make install` puts in place, and that it works from there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createProgram } from '../../src/cli/program.js';
import { VERSION } from '../../src/version.js';
import { suiteCleanup } from '../support/cleanup.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { skipWithout } from '../support/tools.js';
import { runCommand, temporaryFolder } from './command.js';

/** Where these tests were compiled to. */
const BUILT = relative(REPOSITORY_ROOT, fileURLToPath(new URL('../..', import.meta.url)));

function make(target: string, folder: string): void {
  const words = [target, `DESTDIR=${folder}`, 'PREFIX=/opt/dst', `BUILT=${BUILT}`];
  const { status, stderr } = spawnSync('make', ['--silent', ...words, `NODE=${process.execPath}`], {
    cwd: REPOSITORY_ROOT,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
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
    make('install-built', destination);
  });

  test('puts a command there that runs', () => {
    const environment = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
    const { stdout, stderr } = spawnSync(join(prefix, 'bin/dst-quic'), ['--version'], {
      env: environment,
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    assert.equal(stdout, `${VERSION}\n`);
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
      const { code, stderr } = await runCommand(
        t,
        words.map((word) => word.replace(file, path)),
      );
      assert.equal(code, 2);
      assert.match(stderr, /missing required argument|required option '--cert <file>'/);
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

  // The last of them, as it ends what they have in common.
  test('make uninstall takes all of it away again', () => {
    make('uninstall', destination);
    assert.deepEqual(filesIn(destination), []);
  });
});
