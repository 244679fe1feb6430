import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { SESSION_LEASE_MS } from '../../src/limits.js';
import { SESSION_BYTES } from '../../src/protocol/messages.js';
import { writeOf } from '../support/raw-client.js';
import { soon, until } from '../support/wait.js';
import { newExport } from './support.js';

test('a session outlives its connection by the lease, and no longer', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server } = newExport(t);
  const client = await connect();
  await client.welcome();
  client.connection.close('gone');
  await until(() => server.connections === 0, 'the end of the connection');
  t.mock.timers.tick(SESSION_LEASE_MS - 1);
  await new Promise(setImmediate);
  assert.equal(server.sessions, 1);
  t.mock.timers.tick(1);
  await until(() => server.sessions === 0, 'the end of the lease');
});

test('a client that is back within the lease keeps its session', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server } = newExport(t);
  const first = await connect();
  await first.welcome();
  first.connection.close('gone');
  await until(() => server.connections === 0, 'the end of the connection');
  t.mock.timers.tick(SESSION_LEASE_MS - 1);
  const second = await connect(first.session);
  await second.welcome({ epoch: 2 });
  t.mock.timers.tick(SESSION_LEASE_MS);
  await new Promise(setImmediate);
  assert.equal(server.sessions, 1);
});

test('a lease does not end while a command of its session is in progress', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server, device } = newExport(t);
  const first = await connect();
  await first.welcome();
  const hold = device.hold(({ name }) => name === 'write');
  first.open().send(writeOf(1, 0, Buffer.from('slow')));
  await soon(hold.arrived, 'the write');
  first.connection.close('gone');
  await until(() => server.connections === 0, 'the end of the connection');
  t.mock.timers.tick(SESSION_LEASE_MS);
  await new Promise(setImmediate);
  assert.equal(server.sessions, 1, 'whoever comes back must be fenced from that write');
  hold.release();
  await until(() => server.sessions === 0, 'the end of the lease');
});

test('connections that end during their HELLO leave no session behind', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server } = newExport(t);
  for (let i = 0; i < 50; i++) {
    const client = await connect(randomBytes(SESSION_BYTES));
    client.hello();
    for (let turns = 0; turns < i % 5; turns++) await new Promise(setImmediate);
    client.connection.close('gone');
  }
  await until(() => server.connections === 0, 'the end of the connections');
  await new Promise(setImmediate);
  t.mock.timers.tick(SESSION_LEASE_MS);
  await until(() => server.sessions === 0, 'the end of the sessions');
});
