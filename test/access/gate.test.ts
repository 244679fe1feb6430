import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddressRule } from '../../src/access/address-rules.js';
import { type Decision, Gate, type GateOptions } from '../../src/access/gate.js';
import { parseNameRule } from '../../src/access/name-rules.js';
import { systemClock } from '../../src/clock.js';
import { PROOF_FAILED_COST_CONNECTIONS } from '../../src/limits.js';
import { noting } from '../export/support.js';
import { makeCertificate } from '../trust/certificate-maker.js';

const PER_MINUTE = 100;

function newGate(options: Partial<GateOptions> = {}) {
  const lines: { details: unknown; line: unknown }[] = [];
  const gate = new Gate({
    addresses: ['192.0.2.7=ro', '192.0.2.0/24'].map(parseAddressRule),
    connectionsPerMinute: PER_MINUTE,
    log: noting(lines),
    // Time stands still, or tokens would trickle in.
    clock: { ...systemClock, nowMs: () => 0 },
    ...options,
  });
  return { gate, lines };
}

function from(address: string) {
  return { peer: { address, port: 1234 } };
}

/** "rw", "ro", or the code or the kind of what was decided. */
function outcome(decision: Decision): string {
  if (decision.kind === 'admitted') return decision.permission;
  return decision.kind === 'refused' ? decision.failure.code : decision.kind;
}

test('an address gets what its rule gives', () => {
  const { gate, lines } = newGate();
  assert.equal(outcome(gate.decide(from('192.0.2.8'))), 'rw');
  assert.equal(outcome(gate.decide(from('192.0.2.7'))), 'ro');
  assert.deepEqual(lines, []);
});

test('an address without a rule is refused: it learns its address, and not the rules', () => {
  const { gate, lines } = newGate();
  const decision = gate.decide(from('203.0.113.9'));
  assert.ok(decision.kind === 'refused');
  assert.equal(decision.failure.code, 'DST_E_ADDRESS_DENIED');
  assert.match(decision.failure.message, /--allow 203\.0\.113\.9/);
  assert.doesNotMatch(decision.failure.message, /192\.0\.2/);
  assert.deepEqual(lines[0]?.details, {
    peer: { address: '203.0.113.9', port: 1234 },
    code: 'DST_E_ADDRESS_DENIED',
  });
});

test('past its rate an address is dropped, whatever its rule, and the log says so once', () => {
  const { gate, lines } = newGate();
  for (let i = 0; i < PER_MINUTE; i++) gate.decide(from('192.0.2.8'));
  assert.equal(outcome(gate.decide(from('192.0.2.8'))), 'dropped');
  assert.equal(outcome(gate.decide(from('192.0.2.8'))), 'dropped');
  assert.equal(outcome(gate.decide(from('192.0.2.9'))), 'rw');
  assert.equal(lines.length, 1);
});

test('a refused address is counted as well', () => {
  const { gate } = newGate();
  for (let i = 0; i < PER_MINUTE; i++) gate.decide(from('203.0.113.9'));
  assert.equal(outcome(gate.decide(from('203.0.113.9'))), 'dropped');
});

test('a wrong secret costs as much as many connections, a right one nothing', () => {
  const { gate } = newGate({ connectionsPerMinute: PROOF_FAILED_COST_CONNECTIONS + 2 });
  assert.equal(outcome(gate.decide(from('192.0.2.8'))), 'rw');
  assert.equal(gate.chargeProof(from('192.0.2.8')), true);
  gate.refundProof(from('192.0.2.8'));
  assert.equal(gate.chargeProof(from('192.0.2.8')), true);
  assert.equal(outcome(gate.decide(from('192.0.2.8'))), 'rw');
  assert.equal(outcome(gate.decide(from('192.0.2.8'))), 'dropped');
});

test('an address that is in debt is not asked for the secret, and the log says so once', () => {
  const { gate, lines } = newGate();
  for (let i = 0; i < PER_MINUTE; i++) gate.decide(from('192.0.2.8'));
  assert.equal(gate.chargeProof(from('192.0.2.8')), true);
  assert.equal(gate.chargeProof(from('192.0.2.8')), false);
  assert.equal(gate.chargeProof(from('192.0.2.8')), false);
  assert.equal(gate.chargeProof(from('192.0.2.9')), true);
  assert.equal(lines.length, 1);
});

test('failed handshakes take nothing from whoever shares the address', () => {
  const { gate } = newGate({ connectionsPerMinute: 1 });
  gate.handshakeFailed({ address: '192.0.2.8', port: 1 }, 'TLS alert 48');
  assert.equal(outcome(gate.decide(from('192.0.2.8'))), 'rw');
});

// ---- Certificates --------------------------------------------------------------------

async function showing(...names: string[]) {
  const { certificate } = await makeCertificate({
    subject: 'CN=the client',
    names: names.map((value) => ({ type: 'dns', value })),
  });
  return { ...from('192.0.2.8'), clientCertificate: certificate };
}

test('with names, whoever shows no verified certificate is refused', () => {
  const { gate } = newGate({ names: { rules: [] } });
  assert.equal(outcome(gate.decide(from('192.0.2.8'))), 'DST_E_CERT_CLIENT');
});

test('without a rule any name will do', async () => {
  const { gate } = newGate({ names: { rules: [] } });
  assert.equal(outcome(gate.decide(await showing('any.example'))), 'rw');
});

test('a name gets what its rule gives, and no other name gets in', async () => {
  const rules = ['a.example', 'b.example=ro', 'the client=ro'].map(parseNameRule);
  const { gate } = newGate({ names: { rules } });
  assert.equal(outcome(gate.decide(await showing('x.example', 'a.example'))), 'rw');
  assert.equal(outcome(gate.decide(await showing('b.example'))), 'ro');
  assert.equal(outcome(gate.decide(await showing('x.example'))), 'ro', 'by its common name');
  const { gate: strict } = newGate({ names: { rules: rules.slice(0, 2) } });
  const decision = strict.decide(await showing('x.example'));
  assert.ok(decision.kind === 'refused');
  assert.equal(decision.failure.code, 'DST_E_NAME_DENIED');
  assert.match(decision.failure.message, /x\.example, the client.*--allow-name/);
  assert.doesNotMatch(decision.failure.message, /[ab]\.example/);
});

test('of address and name the lesser counts', async () => {
  const { gate } = newGate({ names: { rules: [] } });
  const visitor = { ...(await showing('a.example')), ...from('192.0.2.7') };
  assert.equal(outcome(gate.decide(visitor)), 'ro');
});

test('an address that is denied is told that, whatever certificate it shows', async () => {
  const { gate } = newGate({ names: { rules: [] } });
  const visitor = { ...(await showing('a.example')), ...from('203.0.113.9') };
  assert.equal(outcome(gate.decide(visitor)), 'DST_E_ADDRESS_DENIED');
});

test('a failed handshake is in the log, once a minute', () => {
  const { gate, lines } = newGate();
  gate.handshakeFailed({ address: '203.0.113.9', port: 1 }, 'TLS alert 48');
  gate.handshakeFailed({ address: '203.0.113.9', port: 2 }, 'TLS alert 48');
  assert.deepEqual(
    lines.map(({ line }) => line),
    ['refused in its handshake: TLS alert 48'],
  );
});

test('a name cannot pose as a line of the log', async () => {
  const { gate, lines } = newGate({ names: { rules: [parseNameRule('a.example')] } });
  gate.decide(await showing('x\n[12:00:00] INFO: a.example attached'));
  assert.match(String(lines[0]?.line), /has x \[12:00:00\] INFO/);
});
