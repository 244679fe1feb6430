import assert from 'node:assert/strict';
import { lstatSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  bridgeSocketPath,
  clientsFolder,
  devicesFolder,
  makeRuntimeFolder,
  runtimeFolder,
} from '../../src/ops/runtime-folder.js';
import { failsWith } from '../transport/fixtures.js';
import { ownRuntimeFolder } from './support.js';

const ROOT = 0;
const USER = 1000;

test('root has one runtime folder, from whichever session it comes', () => {
  assert.equal(runtimeFolder({ XDG_RUNTIME_DIR: '/run/user/0' }, ROOT), '/run/dst-quic');
  assert.equal(runtimeFolder({}, ROOT), '/run/dst-quic');
});

test('a user has one in his own folder', () => {
  assert.equal(
    runtimeFolder({ XDG_RUNTIME_DIR: '/run/user/1000' }, USER),
    '/run/user/1000/dst-quic',
  );
  assert.equal(runtimeFolder({ XDG_RUNTIME_DIR: 'relative' }, USER), '/run/dst-quic');
});

test('one that is given goes first', () => {
  const given = { DST_QUIC_RUNTIME_DIR: '/tmp/x', XDG_RUNTIME_DIR: '/run/user/1000' };
  assert.equal(runtimeFolder(given, USER), '/tmp/x');
  assert.equal(runtimeFolder(given, ROOT), '/tmp/x');
});

test('folders are made for their owner only', (t) => {
  const folder = join(ownRuntimeFolder(t), 'deep');
  process.env.DST_QUIC_RUNTIME_DIR = folder;
  for (const each of [devicesFolder(), clientsFolder()]) {
    makeRuntimeFolder(each);
    assert.equal(lstatSync(each).mode & 0o777, 0o700);
  }
  assert.equal(lstatSync(folder).mode & 0o777, 0o700);
});

test('a bridge has its socket there, whatever its name', (t) => {
  const folder = ownRuntimeFolder(t);
  assert.equal(bridgeSocketPath('disk'), join(folder, 'disk.sock'));
  assert.equal(bridgeSocketPath('a/../b'), join(folder, 'a%2F..%2Fb.sock'));
  assert.equal(bridgeSocketPath(''), join(folder, 'default.sock'));
});

test('a folder that cannot be made is named', (t) => {
  const file = join(ownRuntimeFolder(t), 'file');
  writeFileSync(file, '');
  assert.throws(() => makeRuntimeFolder(join(file, 'devices')), failsWith('DST_E_RUNTIME_FOLDER'));
});
