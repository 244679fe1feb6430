import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { generateCertificates, generateClientCertificate } from '../../src/trust/generate.js';
import { loadClientIdentity } from '../../src/trust/identity.js';
import { NOW, temporaryDirectory } from './certificate-maker.js';

async function directoryWithAuthority(t: TestContext): Promise<string> {
  const directory = temporaryDirectory(t);
  await generateCertificates({ directory, hosts: ['localhost'], days: 30, now: NOW });
  return directory;
}

test('one more client gets a pair of its own, and nothing else changes', async (t) => {
  const directory = await directoryWithAuthority(t);
  const before = new Map(
    readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')]),
  );
  const made = await generateClientCertificate({ directory, name: 'backup', days: 3, now: NOW });
  const names = readdirSync(directory).sort();
  const added = names.filter((name) => !before.has(name));
  assert.deepEqual(added, ['client-backup-key.pem', 'client-backup.pem']);
  for (const [name, text] of before) {
    assert.equal(readFileSync(join(directory, name), 'utf8'), text, name);
  }
  assert.equal(statSync(made.keyPath).mode & 0o777, 0o600);
});

test('it is a client of that name, by the authority', async (t) => {
  const directory = await directoryWithAuthority(t);
  const made = await generateClientCertificate({ directory, name: 'web1', days: 3, now: NOW });
  const { certificate } = loadClientIdentity(made, NOW);
  assert.equal(certificate.subject, 'CN=web1');
  assert.equal(Date.parse(certificate.validTo), made.validUntil.getTime());
});

test('without an authority, or with one that has expired, there is nothing to sign with', async (t) => {
  const directory = temporaryDirectory(t);
  const make = (now: Date) => generateClientCertificate({ directory, name: 'web1', days: 3, now });
  await assert.rejects(make(NOW), { code: 'DST_E_CERT_CA' });
  await generateCertificates({ directory, hosts: [], days: 30, now: NOW });
  const late = new Date(NOW.getTime() + 20 * 365 * 24 * 60 * 60 * 1000);
  await assert.rejects(make(late), { code: 'DST_E_CERT_CA' });
});

for (const name of ['', 'a/b', 'a b', 'key', 'web1-key', 'ä', 'x'.repeat(65)]) {
  test(`${JSON.stringify(name)} names no client`, async (t) => {
    const directory = await directoryWithAuthority(t);
    const making = generateClientCertificate({ directory, name, days: 3, now: NOW });
    await assert.rejects(making, { code: 'DST_E_CERT_CLIENT_NAME' });
  });
}
