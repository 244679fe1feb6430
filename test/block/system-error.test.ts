import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { commandError, failedWith, openError, systemError } from '../../src/block/system-error.js';
import type { ErrnoName } from '../../src/errors.js';
import { dstError } from './helpers.js';

test('a system error is told by its number, known to Node or not', () => {
  const error = systemError('fallocate', constants.errno.EDQUOT);
  assert.ok(failedWith(error, 'EIO', 'EDQUOT'));
  assert.ok(!failedWith(error, 'EIO'));
  assert.ok(!failedWith(new Error('other'), 'EIO'));
});

test('each errno of a command becomes the one that NBD knows', () => {
  const expected: [keyof typeof constants.errno, ErrnoName][] = [
    ['ENOSPC', 'ENOSPC'],
    ['EDQUOT', 'ENOSPC'],
    ['EFBIG', 'ENOSPC'],
    ['EIO', 'EIO'],
    ['EROFS', 'EPERM'],
    ['EPERM', 'EPERM'],
    ['ENOMEM', 'ENOMEM'],
    ['ENXIO', 'EIO'],
  ];
  for (const [name, errno] of expected) {
    const error = commandError('file x', 'write', systemError('writev', constants.errno[name]));
    assert.equal(error.errno, errno, name);
  }
});

test('the error of a command names the command, the device and the system call', () => {
  const cause = systemError('writev', constants.errno.ENOSPC);
  const { message } = commandError('file /srv/a.img', 'write of 512 bytes at 0', cause);
  assert.match(message, /write of 512 bytes at 0 of file \/srv\/a.img .* writev \(ENOSPC\)/);
});

test('the error of opening says what to do', () => {
  const opened = (errno: keyof typeof constants.errno, readOnly: boolean) => () => {
    throw openError('/srv/a', readOnly, systemError('open', constants.errno[errno]));
  };
  assert.throws(opened('ENOENT', true), dstError('DST_E_NOT_FOUND', { message: /path/ }));
  assert.throws(opened('EACCES', false), dstError('DST_E_PERMISSION', { message: /--read-only/ }));
  assert.throws(opened('EACCES', true), dstError('DST_E_PERMISSION', { message: /permissions/ }));
  assert.throws(opened('EBUSY', false), dstError('DST_E_BUSY', { message: /mounted or in use/ }));
  assert.throws(opened('EMFILE', false), dstError('DST_E_OPEN', { message: /EMFILE/ }));
});
