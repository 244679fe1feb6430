import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cacheFolder } from '../../src/cli/cache-folder.js';

test('a service has the folder that systemd gives it, the first of several', () => {
  const environment = { CACHE_DIRECTORY: '/var/cache/a:/var/cache/b', XDG_CACHE_HOME: '/c' };
  assert.equal(cacheFolder(environment), '/var/cache/a');
});

test('a user has one in $XDG_CACHE_HOME, if that is absolute', () => {
  assert.equal(cacheFolder({ XDG_CACHE_HOME: '/c' }), '/c/dst-quic');
  assert.equal(cacheFolder({ XDG_CACHE_HOME: 'c' }), join(homedir(), '.cache', 'dst-quic'));
});

test('else it is in the home folder', () => {
  assert.equal(cacheFolder({}), join(homedir(), '.cache', 'dst-quic'));
});
