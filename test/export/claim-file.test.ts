import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ClaimFile } from '../../src/export/claim-file.js';
import type { SavedClaim } from '../../src/export/store.js';
import { CLAIM_FILE_BYTES_MAX } from '../../src/limits.js';
import { temporaryFolder } from '../block/helpers.js';
import { noting } from './support.js';

const CLAIM: SavedClaim = {
  session: '0123456789abcdef0123456789abcdef',
  since: new Date('2026-03-04T05:06:07.089Z'),
  address: { address: '192.0.2.1', port: 4711 },
};
const LATER: SavedClaim = { ...CLAIM, session: 'f'.repeat(32) };

function newFile(t: TestContext) {
  const lines: { details: unknown; line: unknown }[] = [];
  const folder = join(temporaryFolder(t), 'state', 'dst-quic');
  const open = (identity = '/srv/disk.img') =>
    new ClaimFile({ folder, identity, log: noting(lines) });
  return { folder, open, lines };
}

test('a claim that was saved is there for the next process, and for nobody else', async (t) => {
  const { folder, open, lines } = newFile(t);
  const file = open();
  await file.save(CLAIM);
  assert.deepEqual(open().load(), CLAIM);
  assert.equal(statSync(file.path).mode & 0o777, 0o600);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(readdirSync(folder).length, 1, 'nothing temporary stays');
  assert.deepEqual(lines, []);
});

test('a store that nobody has claimed has no file, and no warning', (t) => {
  const { open, lines } = newFile(t);
  assert.equal(open().load(), undefined);
  assert.deepEqual(lines, []);
});

test('each store has a file of its own', async (t) => {
  const { open } = newFile(t);
  await open('/srv/one.img').save(CLAIM);
  assert.equal(open('/srv/two.img').load(), undefined);
});

test('of claims that are saved at once the last one stays', async (t) => {
  const { open } = newFile(t);
  const file = open();
  await Promise.all([
    file.save(CLAIM),
    file.save({ ...CLAIM, session: 'a'.repeat(32) }),
    file.save(LATER),
  ]);
  assert.deepEqual(open().load(), LATER);
});

const whole = JSON.stringify(CLAIM);
const GARBLED: Record<string, string> = {
  'an empty file': '',
  'half a file': whole.slice(0, whole.length / 2),
  'no claim': '[]',
  null: 'null',
  'no address': JSON.stringify({ ...CLAIM, address: null }),
  'a port that is none': JSON.stringify({ ...CLAIM, address: { address: '::1', port: '1' } }),
  'a session that is none': JSON.stringify({ ...CLAIM, session: 'xyz' }),
  'a time that is none': JSON.stringify({ ...CLAIM, since: 'yesterday' }),
  'a file that is too long': whole + ' '.repeat(CLAIM_FILE_BYTES_MAX),
};

for (const [name, content] of Object.entries(GARBLED)) {
  test(`${name} counts as no claim, with a warning, and the next claim replaces it`, async (t) => {
    const { folder, open, lines } = newFile(t);
    mkdirSync(folder, { recursive: true });
    const file = open();
    writeFileSync(file.path, content);
    assert.equal(file.load(), undefined);
    assert.equal(lines.length, 1);
    assert.match(`${lines[0]?.line}`, /^who wrote last is not known/);
    await file.save(CLAIM);
    assert.deepEqual(open().load(), CLAIM);
  });
}

test('where nothing can be written one warning says what follows, and nothing rejects', async (t) => {
  const { folder, open, lines } = newFile(t);
  mkdirSync(join(folder, '..'));
  writeFileSync(folder, 'in the way');
  const file = open();
  await file.save(CLAIM);
  await file.save(LATER);
  assert.equal(file.load(), undefined);
  assert.equal(lines.length, 1);
  assert.match(`${lines[0]?.line}`, /^who writes cannot be remembered.*STATE_DIRECTORY/);
  assert.equal(readFileSync(folder, 'utf8'), 'in the way');
});
