/** What it costs an address to guess the secret, one after the other and side by side. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { parseAddressRule } from '../../src/access/address-rules.js';
import { Gate, TOO_OFTEN, type Visitor } from '../../src/access/gate.js';
import { Secret } from '../../src/access/secret.js';
import { systemClock } from '../../src/clock.js';
import { PROOF_FAILED_COST_CONNECTIONS } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { KIND } from '../../src/protocol/kinds.js';
import type { RawClient } from '../support/raw-client.js';
import { until } from '../support/wait.js';
import { newExport } from './support.js';

const SECRET = new Secret(Buffer.from('what export and client share'));
const WRONG = new Secret(Buffer.from('what somebody else made up'));
const CLIENTS = 8;
const GUESSES = 2;

/** An export to which all come from one address, which has tokens for two guesses and no time. */
function guarded(t: TestContext) {
  const gate = new Gate({
    addresses: [parseAddressRule('192.0.2.1')],
    connectionsPerMinute: CLIENTS + GUESSES * PROOF_FAILED_COST_CONNECTIONS,
    log: silentLog,
    clock: { ...systemClock, nowMs: () => 0 },
  });
  const asks: boolean[] = [];
  const visitor: Visitor = { peer: { address: '192.0.2.1', port: 1 } };
  const made = newExport(t, {
    secret: SECRET,
    shared: true,
    gate: {
      decide: () => gate.decide(visitor),
      chargeProof: () => {
        const may = gate.chargeProof(visitor);
        asks.push(may);
        return may;
      },
      refundProof: () => gate.refundProof(visitor),
      mayTell: () => true,
    },
  });
  return { ...made, asks };
}

/** What is to be proved. */
function asked(client: RawClient) {
  client.hello();
  return client.challenged();
}

/** Why it was closed, in place of being asked. */
async function turnedDown(client: RawClient): Promise<string> {
  client.hello();
  return (await client.closed).message;
}

test('guesses side by side are as few as one after the other', async (t) => {
  const { connect, asks } = guarded(t);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect()));
  for (const client of clients) client.hello();
  await until(() => asks.length === CLIENTS, 'every HELLO');
  // The last one that is asked leaves a debt, and there it ends.
  assert.equal(asks.filter(Boolean).length, GUESSES + 1);
});

test('a wrong proof is not given back', async (t) => {
  const { connect } = guarded(t);
  // One more than there are tokens for: the last one leaves a debt.
  for (let i = 0; i <= GUESSES; i++) {
    const client = await connect();
    const context = await asked(client);
    client.prove(WRONG, context);
    await client.refusal();
  }
  assert.equal(await turnedDown(await connect()), TOO_OFTEN);
});

test('whoever proves it pays for his connections alone', async (t) => {
  const { connect, server } = guarded(t);
  for (let i = 0; i < CLIENTS; i++) {
    const client = await connect();
    const context = await asked(client);
    client.prove(SECRET, context);
    assert.equal((await client.frame()).kind, KIND.welcome);
  }
  assert.equal(server.sessions, CLIENTS);
});

test('whoever goes without a proof has not guessed', async (t) => {
  const { connect, server } = guarded(t);
  for (let i = 0; i < CLIENTS; i++) {
    const client = await connect();
    await asked(client);
    client.connection.close('no secret here');
    await until(() => server.connections === 0, 'the end of the connection');
  }
});
