/** docs/PROTOCOL.md says what the code does: its tables and byte examples are compared. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_PORT } from '../../src/client/address.js';
import { NBD_ERRNO } from '../../src/errors.js';
import * as limits from '../../src/limits.js';
import { isControl, isRequest } from '../../src/protocol/frame.js';
import { ALPN, FLAG, FLAGS_ALLOWED, KIND, PROTOCOL_VERSION } from '../../src/protocol/kinds.js';
import {
  AGENT_BYTES_MAX,
  CAPABILITIES,
  ERRNO_DAMAGED,
  NONCE_BYTES,
  PROOF_BYTES,
  SESSION_BYTES,
  VERIFIER_BYTES,
} from '../../src/protocol/messages.js';
import { CHECKSUM_NAMES, isChecksumName, loadChecksum } from '../../wasm/checksums.js';
import { fixturePath, REPOSITORY_ROOT } from '../support/paths.js';
import { column, DOCUMENT, examples, type Row, section, table } from './document.js';
import {
  SAMPLE_CONTEXT,
  SAMPLE_DESCRIPTION,
  SAMPLE_HELLO,
  SAMPLE_PAYLOAD,
  SAMPLE_PROVEN,
  SAMPLE_SECRET,
  SAMPLE_WELCOME,
  SAMPLES,
} from './samples.js';

/** Our own business: what one implementation does, and no other has to know. */
const LIMITS_UNTOLD = new Set([
  'FRAME_PAYLOAD_PIECE_BYTES_MIN',
  'CREDIT_BUDGET_SHARE',
  'TRANSACTION_SPLIT_BYTES',
  'BATCH_TRANSACTION_BYTES_MAX',
  'QUIC_GATHER_BYTES',
  'BATCH_BYTES_MAX',
  'BATCH_TRANSACTIONS_MAX',
  'REPLIES_TOGETHER_BYTES_MAX',
  'BATCH_ROUND_TRIP_MS_MAX',
  'USUAL_WEIGHT',
  'BYTE_WINDOW_INITIAL_BYTES',
  'BYTE_WINDOW_MIN_BYTES',
  'BYTE_WINDOW_MAX_BYTES',
  'ANSWER_SWIFT_MS',
  'ANSWER_SLOW_MS',
  'REPLAY_ENTRY_BYTES',
  'REPLAY_SLAB_BYTES',
  'REPLAY_SLABS_FREE_MAX',
  'REPLAY_SLABS_IDLE_MAX',
  'DIAL_ATTEMPTS_AT_ONCE_MAX',
  'EARLY_NOTICES_MAX',
  'DIAL_OVERLAP_MS',
  'PATIENT_DIAL_EVERY',
  'CLAIM_FILE_BYTES_MAX',
  'CLAIM_SAVE_TIMEOUT_MS',
]);
const LIMITS_SECTIONS = ['Wire', 'Transactions', 'Export', 'Client'];

/** "writeZeroes" as the document writes it: "WRITE ZEROES". */
function spoken(name: string): string {
  return name.replace(/[A-Z]/g, ' $&').toUpperCase();
}

function byte(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

function rowOf(rows: readonly Row[], name: string, value: string): Row {
  const found = rows.find((row) => row[name] === value);
  assert.ok(found !== undefined, `no row "${value}"`);
  return found;
}

test('the identifier, the version and the port are those of the code', () => {
  const facts = table('At a glance', 'What');
  const values = column(facts, 'Value');
  assert.deepEqual(values.slice(0, 3), [ALPN, `${PROTOCOL_VERSION}`, `${DEFAULT_PORT}`]);
});

test('the table of kinds is that of the code', () => {
  const rows = table('Kinds', 'Kind');
  const told = rows.map((row) => `${row.Kind} ${row.Name}`);
  const known = Object.entries(KIND).map(([name, kind]) => `${byte(kind)} ${spoken(name)}`);
  assert.deepEqual(told, known);
  for (const { frame } of SAMPLES) {
    const row = rowOf(rows, 'Kind', byte(frame.kind));
    const elements = isControl(frame) ? 4 : isRequest(frame) ? 8 : 5;
    assert.equal(row['Header elements'], `${elements}`);
    const fromClient =
      isRequest(frame) || ['HELLO', 'PING', 'LEAVE', 'PROOF'].includes(row.Name ?? '');
    assert.equal(row.From, fromClient ? 'client' : 'export');
  }
});

test('the table of flags is that of the code', () => {
  const rows = table('Flags', 'Flag');
  const known = Object.entries(FLAG).map(([name, bit]) => {
    const kinds = Object.entries(KIND).filter(([, kind]) => (FLAGS_ALLOWED[kind] ?? 0) & bit);
    return `${byte(bit)} ${spoken(name)}: ${kinds.map(([kind]) => spoken(kind)).join(', ')}`;
  });
  const told = rows.map((row) => `${row.Flag} ${row.Name}: ${row['Allowed on']}`);
  assert.deepEqual(told, known);
});

test('every request and every reply is described', () => {
  const requests = Object.entries(KIND).filter(([, kind]) => FLAGS_ALLOWED[kind] !== undefined);
  assert.deepEqual(
    column(table('Requests', 'Kind'), 'Kind'),
    requests.map(([name]) => spoken(name)),
  );
});

test('the table of errno values is that of the code', () => {
  const told = table('Replies', 'Errno').map((row) => `${row.Errno} ${row.Name}`);
  const known = Object.entries({ ...NBD_ERRNO, EBADMSG: ERRNO_DAMAGED })
    .sort(([, a], [, b]) => a - b)
    .map(([name, value]) => `${value} ${name}`);
  assert.deepEqual(told, known);
});

test('the tables of keys are those of the code', () => {
  assert.deepEqual(column(table('HELLO', 'Key'), 'Key'), Object.keys(SAMPLE_HELLO));
  const [welcome, description, credit] = [0, 1, 2].map((nth) =>
    column(table('WELCOME', 'Key', nth), 'Key'),
  );
  assert.deepEqual(welcome, Object.keys(SAMPLE_PROVEN));
  assert.deepEqual(description, Object.keys(SAMPLE_DESCRIPTION));
  assert.deepEqual(credit, Object.keys(SAMPLE_WELCOME.credit));
  assert.deepEqual(column(table('REFUSED', 'Key'), 'Key'), ['code', 'message']);
});

test('the lengths in the tables of keys are those of the code', () => {
  const hello = table('HELLO', 'Key');
  const welcome = table('WELCOME', 'Key');
  assert.equal(rowOf(hello, 'Key', 'session').Range, `${SESSION_BYTES} bytes`);
  assert.equal(rowOf(hello, 'Key', 'nonce').Range, `${NONCE_BYTES} bytes`);
  assert.equal(rowOf(hello, 'Key', 'agent').Range, `up to ${AGENT_BYTES_MAX} bytes`);
  assert.equal(rowOf(hello, 'Key', 'export').Range, `up to ${limits.EXPORT_NAME_BYTES_MAX} bytes`);
  assert.equal(rowOf(welcome, 'Key', 'verifier').Range, `${VERIFIER_BYTES} bytes`);
  assert.equal(rowOf(welcome, 'Key', 'proof').Range, `${PROOF_BYTES} bytes`);
  const payloadBytesMax = rowOf(welcome, 'Key', 'payloadBytesMax').Range;
  assert.equal(payloadBytesMax, `1 to ${limits.FRAME_PAYLOAD_BYTES_MAX}`);
});

test('the example of a proof is what its fields give, and what the code proves', () => {
  const [label, ...rest] = table('CHALLENGE and PROOF', 'Field');
  const [secret] =
    /(?<=bytes `)[^`]+(?=` as the secret)/.exec(section('CHALLENGE and PROOF')) ?? [];
  const results = table('CHALLENGE and PROOF', 'What');
  for (const prover of ['client', 'export'] as const) {
    const text = Buffer.from(`dst/1 ${prover} proof`);
    assert.equal(label?.Bytes, `${text.length}`);
    assert.ok(label.What?.includes(text.toString()));
    const hmac = createHmac('sha256', secret ?? '').update(text);
    for (const { Bytes, Example } of rest) {
      const example = Buffer.from(Example ?? '', 'hex');
      assert.ok(Bytes === 'any' || Bytes === `${example.length}`);
      hmac.update(example);
    }
    const proof = rowOf(results, 'What', `proof of the ${prover}`).Value;
    assert.equal(proof, hmac.digest('hex'));
    assert.equal(proof, SAMPLE_SECRET.prove(prover, SAMPLE_CONTEXT).toString('hex'));
  }
});

test('the example of a checksum key is that of the code', () => {
  const row = rowOf(table('CHALLENGE and PROOF', 'What'), 'What', 'checksum key, see "Checksums"');
  const key = SAMPLE_SECRET.checksumKey(SAMPLE_CONTEXT.session, SAMPLE_CONTEXT.exportName);
  assert.equal(row.Value, key.toString('hex'));
});

test('the capabilities and the notices are those of the code', () => {
  assert.deepEqual(column(table('WELCOME', 'Capability'), 'Capability'), [...CAPABILITIES]);
  const events = column(table('NOTICE', 'event'), 'event');
  const known = SAMPLES.flatMap(({ frame }) =>
    isControl(frame) && frame.kind === KIND.notice ? [frame.body.event] : [],
  );
  assert.deepEqual(events, known);
});

test('the table of checksums has their lengths and digests', async () => {
  const rows = table('Checksums', 'Name');
  assert.deepEqual(column(rows, 'Name'), [...CHECKSUM_NAMES]);
  for (const row of rows) {
    assert.ok(isChecksumName(row.Name ?? ''));
    const checksum = await loadChecksum(row.Name as (typeof CHECKSUM_NAMES)[number]);
    assert.equal(row['Digest, bytes'], `${checksum.digestBytes}`);
    assert.equal(
      row['Of the bytes 00 01 .. 0f'],
      checksum.digest([SAMPLE_PAYLOAD]).toString('hex'),
    );
  }
});

test('every limit in the document has the value that it has in src/limits.ts', () => {
  const known: Readonly<Record<string, unknown>> = limits;
  const rows = [0, 1].flatMap((nth) => table('Limits', 'Constant', nth));
  const told = rows.map((row): [string, number] => [row.Constant ?? '', Number(row.Value)]);
  for (const [, name, value] of section('Limits').matchAll(/`([A-Z_]+)`[^|`]* is ([0-9]+)/g)) {
    told.push([name ?? '', Number(value)]);
  }
  for (const [name, value] of told) assert.equal(value, known[name], name);
});

test('every limit of the wire is in the document', () => {
  const source = readFileSync(join(REPOSITORY_ROOT, 'src', 'limits.ts'), 'utf8');
  const parts = source.split(/^\/\/ ---- ([^-]+) -+$/m);
  for (const title of LIMITS_SECTIONS) {
    const part = parts[parts.indexOf(`${title}`) + 1] ?? '';
    const names = [...part.matchAll(/^export const ([A-Z_]+)/gm)].map(([, name]) => name ?? '');
    assert.ok(names.length > 0, title);
    for (const name of names) {
      assert.ok(LIMITS_UNTOLD.has(name) || DOCUMENT.includes(`\`${name}\``), name);
    }
  }
});

test('the byte examples are the golden fixtures', () => {
  const found = examples();
  assert.ok(found.length >= 8, `${found.length} examples`);
  for (const { name, bytes } of found) {
    const fixture = readFileSync(fixturePath('frames', `${name}.hex`), 'utf8');
    assert.equal(bytes, fixture.replace(/^#.*$/gm, '').replace(/\s+/g, ''), name);
  }
});

test('every error code in the document is one that the code knows', () => {
  const folder = join(REPOSITORY_ROOT, 'src');
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
  for (const [code] of DOCUMENT.matchAll(/DST_E_[A-Z_]*[A-Z]/g)) {
    assert.ok(sources.includes(`'${code}'`), code);
  }
});
