import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { loadSecret, type ProofContext, Secret } from '../../src/access/secret.js';
import {
  EXPORT_NAME_BYTES_MAX,
  SECRET_BYTES_MIN,
  SECRET_FILE_BYTES_MAX,
} from '../../src/limits.js';
import { PROOF_BYTES } from '../../src/protocol/messages.js';
import { CHECKSUM_KEY_BYTES } from '../../wasm/algorithms.js';

const TEXT = 'sixteen bytes it is, and more';
const SECRET = new Secret(Buffer.from(TEXT));

const CONTEXT: ProofContext = {
  clientNonce: Buffer.alloc(32, 1),
  exportNonce: Buffer.alloc(32, 2),
  session: Buffer.alloc(16, 3),
  epoch: 4,
  exportName: 'vol',
  certificateSha256: Buffer.alloc(32, 5),
};

function secretFile(t: TestContext, content: string | Buffer, mode = 0o600): string {
  const folder = mkdtempSync(join(tmpdir(), 'dst-quic-secret-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'secret');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

/** Whether two secrets are the same, which only their proofs tell. */
function isSame(one: Secret, other: Secret): boolean {
  return one.verify('client', CONTEXT, other.prove('client', CONTEXT));
}

// ---- Files -----------------------------------------------------------------------------

for (const [what, end] of Object.entries({ nothing: '', LF: '\n', CRLF: '\r\n' })) {
  test(`a secret is its file's bytes, and ${what} at the end is not part of it`, (t) => {
    assert.ok(isSame(loadSecret(secretFile(t, `${TEXT}${end}`)), SECRET));
  });
}

test('one end of line is left out, and no other byte', (t) => {
  for (const content of [`${TEXT}\n\n`, `${TEXT} \n`, ` ${TEXT}`, `${TEXT}\r`]) {
    assert.ok(!isSame(loadSecret(secretFile(t, content)), SECRET), JSON.stringify(content));
  }
});

test('a secret may be any bytes', (t) => {
  const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 8));
  assert.ok(isSame(loadSecret(secretFile(t, bytes)), new Secret(bytes)));
});

test('a secret file that others can read or write is refused, with how to close it', (t) => {
  const path = secretFile(t, TEXT);
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o644]) {
    chmodSync(path, mode);
    assert.throws(() => loadSecret(path), { code: 'DST_E_SECRET_MODE', message: /chmod 600/ });
  }
  for (const mode of [0o600, 0o400]) {
    chmodSync(path, mode);
    assert.ok(isSame(loadSecret(path), SECRET));
  }
});

test('a secret that is too short is refused, and its end of line does not help', (t) => {
  const short = 'x'.repeat(SECRET_BYTES_MIN - 1);
  for (const content of ['', short, `${short}\n`, `${short}\r\n`]) {
    const path = secretFile(t, content);
    assert.throws(() => loadSecret(path), { code: 'DST_E_SECRET_SHORT', message: /at least 16/ });
  }
  loadSecret(secretFile(t, `${short}x\n`));
});

test('a secret file that is too large, or has no end, is refused', (t) => {
  loadSecret(secretFile(t, 'x'.repeat(SECRET_FILE_BYTES_MAX)));
  const large = secretFile(t, 'x'.repeat(SECRET_FILE_BYTES_MAX + 1));
  for (const path of [large, '/dev/zero']) {
    assert.throws(() => loadSecret(path), { code: 'DST_E_SECRET_FILE', message: /too large/ });
  }
});

test('a secret file that is missing, or is a folder, is refused by its path', (t) => {
  const path = secretFile(t, TEXT);
  const folder = `${path}.d`;
  mkdirSync(folder);
  for (const [bad, reason] of [
    [`${path}.missing`, 'ENOENT'],
    [folder, 'EISDIR'],
  ] as const) {
    const message = new RegExp(`${bad} cannot be read \\(${reason}\\)`);
    assert.throws(() => loadSecret(bad), { code: 'DST_E_SECRET_FILE', message });
  }
});

test('a secret does not show when it is printed, nor in what is wrong with it', (t) => {
  const forms = [TEXT, Buffer.from(TEXT).toString('hex'), Buffer.from(TEXT).toString('base64')];
  const printed = [inspect(SECRET, { showHidden: true, depth: 9 }), JSON.stringify({ SECRET })];
  for (const mode of [0o600, 0o644]) {
    try {
      loadSecret(secretFile(t, mode === 0o600 ? TEXT.slice(0, 12) : TEXT, mode));
    } catch (error) {
      printed.push(inspect(error, { depth: 9 }));
    }
  }
  assert.equal(printed.length, 4);
  for (const text of printed) {
    for (const form of forms) assert.ok(!text.includes(form.slice(0, 12)), text);
  }
});

// ---- Proofs ----------------------------------------------------------------------------

test('a proof holds for whoever has the same secret', () => {
  for (const prover of ['client', 'export'] as const) {
    const proof = new Secret(Buffer.from(TEXT)).prove(prover, CONTEXT);
    assert.equal(proof.length, PROOF_BYTES);
    assert.ok(SECRET.verify(prover, CONTEXT, proof));
  }
});

test('a proof by another secret does not hold', () => {
  const other = new Secret(Buffer.from(`${TEXT}.`));
  assert.ok(!SECRET.verify('client', CONTEXT, other.prove('client', CONTEXT)));
});

test("one side's proof is not the other's", () => {
  assert.ok(!SECRET.verify('export', CONTEXT, SECRET.prove('client', CONTEXT)));
  assert.ok(!SECRET.verify('client', CONTEXT, SECRET.prove('export', CONTEXT)));
});

test('a proof with any bit changed, or of another length, does not hold', () => {
  const proof = SECRET.prove('client', CONTEXT);
  for (const at of proof.keys()) {
    const changed = Buffer.from(proof);
    changed.writeUInt8(proof.readUInt8(at) ^ 1, at);
    assert.ok(!SECRET.verify('client', CONTEXT, changed));
  }
  for (const cut of [Buffer.alloc(0), proof.subarray(1), Buffer.concat([proof, Buffer.of(0)])]) {
    assert.ok(!SECRET.verify('client', CONTEXT, cut));
  }
});

const OTHERS: Record<string, Partial<ProofContext>> = {
  'another nonce of the client': { clientNonce: Buffer.alloc(32, 2) },
  'another nonce of the export': { exportNonce: Buffer.alloc(32, 1) },
  'the nonces exchanged': {
    clientNonce: CONTEXT.exportNonce,
    exportNonce: CONTEXT.clientNonce,
  },
  'another session': { session: Buffer.alloc(16, 4) },
  'another epoch': { epoch: 5 },
  'an epoch of the same lower 32 bits': { epoch: 4 + 2 ** 32 },
  'another name of the same length': { exportName: 'val' },
  'a name that is cut': { exportName: 'vo' },
  'another certificate': { certificateSha256: Buffer.alloc(32, 6) },
  'no certificate': { certificateSha256: undefined },
};
for (const [what, other] of Object.entries(OTHERS)) {
  test(`a proof is of no use with ${what}`, () => {
    const proof = SECRET.prove('client', CONTEXT);
    assert.ok(!SECRET.verify('client', { ...CONTEXT, ...other }, proof));
  });
}

// ---- Keys ------------------------------------------------------------------------------

test("a session's checksum key is the same at both ends, and for each connection", () => {
  const key = SECRET.checksumKey(CONTEXT.session, 'vol');
  assert.equal(key.length, CHECKSUM_KEY_BYTES);
  assert.deepEqual(new Secret(Buffer.from(TEXT)).checksumKey(CONTEXT.session, 'vol'), key);
});

test('another session, export or secret has another key', () => {
  const keys = [
    SECRET.checksumKey(CONTEXT.session, 'vol'),
    SECRET.checksumKey(Buffer.alloc(16, 4), 'vol'),
    SECRET.checksumKey(CONTEXT.session, 'other'),
    new Secret(Buffer.from(`${TEXT}.`)).checksumKey(CONTEXT.session, 'vol'),
  ];
  assert.equal(new Set(keys.map((key) => key.toString('hex'))).size, keys.length);
});

test('the longest name that there may be has proofs and a key', () => {
  const exportName = 'x'.repeat(EXPORT_NAME_BYTES_MAX);
  const context = { ...CONTEXT, exportName };
  assert.ok(SECRET.verify('client', context, SECRET.prove('client', context)));
  assert.equal(SECRET.checksumKey(CONTEXT.session, exportName).length, CHECKSUM_KEY_BYTES);
});
