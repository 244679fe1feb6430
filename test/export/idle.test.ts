import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  PEER_IDLE_TIMEOUT_MS,
  PINGS_UNANSWERED_MAX,
  REFUSAL_LINGER_MS,
  SESSION_LEASE_MS,
} from '../../src/limits.js';
import { encodeControl } from '../../src/protocol/encode.js';
import { KIND } from '../../src/protocol/kinds.js';
import type { Hello } from '../../src/protocol/messages.js';
import { until } from '../support/wait.js';
import { newExport } from './support.js';

const asking: readonly Partial<Hello>[] = [
  { intent: 'list', export: '' },
  { intent: 'info' },
  { intent: 'attach' },
];

for (const hello of asking) {
  test(`a connection with intent "${hello.intent}" that is silent is closed after a while`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { connect, server } = newExport(t);
    const client = await connect();
    await client.welcome(hello);
    t.mock.timers.tick(PEER_IDLE_TIMEOUT_MS - 1);
    assert.equal(server.connections, 1);
    t.mock.timers.tick(1);
    assert.equal((await client.notice('closing')).failure.code, 'DST_E_IDLE');
    t.mock.timers.tick(REFUSAL_LINGER_MS);
    await client.closed;
    assert.equal(server.connections, 0);
  });
}

test('pings keep a connection, and so do requests', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server } = newExport(t);
  const client = await connect();
  await client.welcome();
  for (let sequence = 1; sequence <= 3; sequence++) {
    client.write(encodeControl(KIND.ping, sequence));
    await client.frame();
    t.mock.timers.tick(PEER_IDLE_TIMEOUT_MS);
  }
  for (let i = 0; i < 3; i++) {
    await client.open().run({ kind: KIND.flush });
    t.mock.timers.tick(PEER_IDLE_TIMEOUT_MS);
  }
  assert.equal(server.connections, 1);
  t.mock.timers.tick(PEER_IDLE_TIMEOUT_MS);
  assert.equal((await client.dismissal()).code, 'DST_E_IDLE');
});

test('a client that pings often is missed sooner, and its lease counts from when it fell silent', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server } = newExport(t);
  const client = await connect();
  const pingIntervalMs = 500;
  await client.welcome({ pingIntervalMs });
  const silenceMs = pingIntervalMs * PINGS_UNANSWERED_MAX;
  t.mock.timers.tick(silenceMs);
  assert.equal((await client.notice('closing')).failure.code, 'DST_E_IDLE');
  t.mock.timers.tick(REFUSAL_LINGER_MS);
  await client.closed;
  await until(() => server.connections === 0, 'the end of the connection');
  t.mock.timers.tick(SESSION_LEASE_MS - silenceMs - 1);
  await new Promise(setImmediate);
  assert.equal(server.sessions, 1);
  t.mock.timers.tick(1);
  await until(() => server.sessions === 0, 'the end of the lease');
});
