import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { test } from 'node:test';
import { stateFolder } from '../../src/cli/state-folder.js';

const ROOT = 0;
const USER = 1000;

test('a service has its state where systemd says, in the first of several', () => {
  const variables = { STATE_DIRECTORY: '/var/lib/one:/var/lib/two', XDG_STATE_HOME: '/x' };
  assert.equal(stateFolder(variables, USER), '/var/lib/one');
});

test('a user has it among the state of programs', () => {
  assert.equal(stateFolder({ XDG_STATE_HOME: '/x' }, USER), '/x/dst-quic');
  const usual = `${homedir()}/.local/state/dst-quic`;
  assert.equal(stateFolder({}, USER), usual);
  assert.equal(stateFolder({ STATE_DIRECTORY: '', XDG_STATE_HOME: 'x' }, USER), usual);
});

test('root has it among the state of the system', () => {
  assert.equal(stateFolder({}, ROOT), '/var/lib/dst-quic');
  assert.equal(stateFolder({ XDG_STATE_HOME: '/x' }, ROOT), '/x/dst-quic');
});
