import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasListener } from './ports.js';

// proc_pid_net(5); 1F90 is 8080.
const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 0100007F:A1B2 0100007F:1F91 01 00000000:00000000
`;

test('a port that is listened at is found', () => {
  assert.equal(hasListener(TABLE, 8080), true);
});

test('a connection is no listener, nor is its other end', () => {
  assert.equal(hasListener(TABLE, 0xa1b2), false);
  assert.equal(hasListener(TABLE, 8081), false);
});
