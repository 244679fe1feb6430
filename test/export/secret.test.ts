/** An export that has a secret, and clients that do and do not. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Secret } from '../../src/access/secret.js';
import { loadSessionChecksum } from '../../src/access/session-checksum.js';
import { HELLO_TIMEOUT_MS, PROOF_BODY_BYTES_MAX } from '../../src/limits.js';
import { encodeControl } from '../../src/protocol/encode.js';
import { KIND } from '../../src/protocol/kinds.js';
import { ERRNO_DAMAGED, type Hello, proofBody, readWelcome } from '../../src/protocol/messages.js';
import { loadChecksum } from '../../wasm/checksums.js';
import { type RawClient, writeOf } from '../support/raw-client.js';
import { newExport, noting } from './support.js';

const SECRET = new Secret(Buffer.from('what export and client share'));
const WRONG = new Secret(Buffer.from('what somebody else made up'));

function newSecretExport(t: TestContext, options: Parameters<typeof newExport>[1] = {}) {
  return newExport(t, { secret: SECRET, ...options });
}

/** Says HELLO and proves to hold a secret. */
async function proves(client: RawClient, secret: Secret, hello: Partial<Hello> = {}) {
  client.hello(hello);
  const context = await client.challenged();
  client.prove(secret, context);
  return context;
}

/** The same with the right secret, until WELCOME. */
async function welcomed(client: RawClient, hello: Partial<Hello> = {}) {
  const context = await proves(client, SECRET, hello);
  const frame = await client.frame();
  assert.equal(frame.kind, KIND.welcome);
  return { context, welcome: readWelcome(frame.body) };
}

test('whoever proves the secret is welcomed, by an export that proves it too', async (t) => {
  const { connect, server } = newSecretExport(t);
  const client = await connect();
  const { context, welcome } = await welcomed(client);
  assert.equal(welcome.export?.name, 'vol');
  assert.ok(welcome.nonce.equals(context.exportNonce));
  assert.ok(SECRET.verify('export', context, welcome.proof ?? Buffer.alloc(0)));
  assert.equal(server.sessions, 1);
});

test('without a secret nothing is asked for, and nothing proved', async (t) => {
  const { connect } = newExport(t);
  assert.equal((await (await connect()).welcome()).proof, undefined);
});

test('every connection is asked anew, with another nonce', async (t) => {
  const { connect } = newSecretExport(t);
  const first = await connect();
  const { context } = await welcomed(first, { epoch: 1 });
  const second = await connect(first.session);
  const again = await welcomed(second, { epoch: 2 });
  assert.ok(!again.context.exportNonce.equals(context.exportNonce));
});

for (const intent of ['attach', 'info', 'list'] as const) {
  test(`a wrong proof is refused, and told nothing (${intent})`, async (t) => {
    const lines: { details: unknown; line: unknown }[] = [];
    const { connect, server } = newSecretExport(t, { log: noting(lines) });
    const client = await connect();
    await proves(client, WRONG, { intent, export: intent === 'list' ? '' : 'nowhere' });
    const { code, message } = await client.refusal();
    assert.equal(code, 'DST_E_SECRET');
    assert.match(message, /--secret-file/);
    await client.closed;
    assert.equal(server.sessions, 0);
    const { peer } = client.connection;
    assert.deepEqual(lines, [
      {
        details: { peer, code, reason: message },
        line: 'refused: it does not hold the secret',
      },
    ]);
  });
}

test('a wrong proof fences nobody, whatever its HELLO says', async (t) => {
  const { connect } = newSecretExport(t);
  const writer = await connect();
  await welcomed(writer, { epoch: 1 });
  const thief = await connect(writer.session);
  await proves(thief, WRONG, { epoch: 9, takeover: true, resuming: true });
  assert.equal((await thief.refusal()).code, 'DST_E_SECRET');
  const silent = await connect(writer.session);
  silent.hello({ epoch: 10, takeover: true });
  await silent.challenged();
  assert.equal((await writer.open().run({ kind: KIND.flush })).errno, 0);
});

test('a proof is good for its own connection only', async (t) => {
  const { connect } = newSecretExport(t);
  const first = await connect();
  const { context } = await welcomed(first, { epoch: 1 });
  const second = await connect(first.session);
  second.hello({ epoch: 1, nonce: context.clientNonce });
  await second.challenged();
  second.prove(SECRET, context);
  assert.equal((await second.refusal()).code, 'DST_E_SECRET');
});

test('a proof for another certificate is refused', async (t) => {
  const { connect } = newSecretExport(t);
  const client = await connect();
  client.hello();
  const context = await client.challenged();
  client.prove(SECRET, { ...context, certificateSha256: Buffer.alloc(32, 1) });
  assert.equal((await client.refusal()).code, 'DST_E_SECRET');
});

test('a store that is not there is told to whoever has proved the secret', async (t) => {
  const { connect } = newSecretExport(t);
  const client = await connect();
  await proves(client, SECRET, { export: 'nowhere' });
  assert.equal((await client.refusal()).code, 'DST_E_EXPORT_UNKNOWN');
});

const PROOF = encodeControl(KIND.proof, 0, proofBody({ proof: Buffer.alloc(32) }));
const LONG = { proof: Buffer.alloc(32), more: 'x'.repeat(PROOF_BODY_BYTES_MAX) };
const BREACHES: Record<string, Buffer> = {
  'a PROOF that is too short': encodeControl(KIND.proof, 0, { proof: Buffer.alloc(31) }),
  'a PROOF of nothing': encodeControl(KIND.proof, 0, {}),
  'a PROOF without a body': encodeControl(KIND.proof, 0),
  'a PROOF that is too long': encodeControl(KIND.proof, 0, LONG),
  'a PING in place of the PROOF': encodeControl(KIND.ping, 1),
  'a LEAVE in place of the PROOF': encodeControl(KIND.leave, 0),
};
for (const [what, bytes] of Object.entries(BREACHES)) {
  test(`${what} is a breach`, async (t) => {
    const { connect } = newSecretExport(t);
    const client = await connect();
    client.hello();
    await client.challenged();
    client.write(bytes);
    assert.equal((await client.refusal()).code, 'DST_E_PROTOCOL');
    await client.closed;
  });
}

test('a second HELLO in place of the PROOF is a breach', async (t) => {
  const { connect } = newSecretExport(t);
  const client = await connect();
  client.hello({ epoch: 1 });
  await client.challenged();
  client.hello({ epoch: 2 });
  assert.equal((await client.refusal()).code, 'DST_E_PROTOCOL');
});

test('a stream before the PROOF is a breach', async (t) => {
  const { connect } = newSecretExport(t);
  const client = await connect();
  client.hello();
  await client.challenged();
  client.open().send({ kind: KIND.flush });
  assert.equal((await client.refusal()).code, 'DST_E_PROTOCOL');
});

test('a PROOF before HELLO is a breach, and so is one that nobody asked for', async (t) => {
  const { connect } = newSecretExport(t);
  const early = await connect();
  early.write(PROOF);
  assert.equal((await early.refusal()).code, 'DST_E_PROTOCOL');
  const { connect: connectOpenly } = newExport(t);
  const unasked = await connectOpenly();
  await unasked.welcome();
  unasked.write(PROOF);
  assert.equal((await unasked.dismissal()).code, 'DST_E_PROTOCOL');
});

test('a second PROOF after WELCOME is a breach', async (t) => {
  const { connect } = newSecretExport(t);
  const client = await connect();
  const { context } = await welcomed(client);
  client.prove(SECRET, context);
  assert.equal((await client.dismissal()).code, 'DST_E_PROTOCOL');
});

test('a second PROOF after a wrong one is not looked at', async (t) => {
  const { connect, server } = newSecretExport(t);
  const client = await connect();
  const context = await proves(client, WRONG);
  client.prove(SECRET, context);
  assert.equal((await client.refusal({ stay: true })).code, 'DST_E_SECRET');
  assert.equal(server.sessions, 0);
});

test('HELLO and PROOF together have no longer than HELLO alone', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connect, server } = newSecretExport(t);
  const client = await connect();
  t.mock.timers.tick(HELLO_TIMEOUT_MS - 1);
  client.hello();
  await client.challenged();
  assert.equal(server.connections, 1);
  t.mock.timers.tick(1);
  assert.match((await client.closed).message, /no PROOF/);
  assert.equal(server.connections, 0);
});

test('an export that shuts down refuses whoever has yet to prove', async (t) => {
  const { connect, server } = newSecretExport(t);
  const client = await connect();
  client.hello();
  await client.challenged();
  const over = server.shutdown(0);
  assert.equal((await client.refusal()).code, 'DST_E_GOING_AWAY');
  await over;
});

test('a write needs the digest that only the secret gives', async (t) => {
  const { connect, device } = newSecretExport(t, { checksums: ['blake3'] });
  const client = await connect();
  await welcomed(client, { checksums: ['blake3'] });
  const payload = Buffer.from('mine');
  const plain = await loadChecksum('blake3');
  const keyed = await loadSessionChecksum('blake3', SECRET, client.session, 'vol');
  const stream = client.open();
  const forged = await stream.run({
    ...writeOf(1, 0, payload),
    checksum: plain.digest([payload]),
  });
  assert.equal(forged.errno, ERRNO_DAMAGED);
  const good = await stream.run({ ...writeOf(1, 0, payload), checksum: keyed.digest([payload]) });
  assert.equal(good.errno, 0);
  assert.equal(device.commands.filter(({ name }) => name === 'write').length, 1);
});

test('a checksum that takes no key goes without', async (t) => {
  const { connect } = newSecretExport(t, { checksums: ['crc32c'] });
  const client = await connect();
  await welcomed(client, { checksums: ['crc32c'] });
  const payload = Buffer.from('mine');
  const checksum = (await loadChecksum('crc32c')).digest([payload]);
  assert.equal((await client.open().run({ ...writeOf(1, 0, payload), checksum })).errno, 0);
});
