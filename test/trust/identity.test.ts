import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { loadClientIdentity, loadServerIdentity } from '../../src/trust/identity.js';
import {
  type CertificateOptions,
  certificatePem,
  keyPem,
  makeAuthority,
  makeServer,
  NOW,
  TOMORROW,
  temporaryDirectory,
  temporaryFile,
  YESTERDAY,
} from './certificate-maker.js';

const SERVER_PURPOSE = '1.3.6.1.5.5.7.3.1';
const CLIENT_PURPOSE = '1.3.6.1.5.5.7.3.2';

async function writeIdentity(
  t: TestContext,
  options: CertificateOptions = {},
): Promise<{ certificatePath: string; keyPath: string }> {
  const server = await makeServer(undefined, options);
  return {
    certificatePath: temporaryFile(t, certificatePem(server), 0o644),
    keyPath: temporaryFile(t, keyPem(server)),
  };
}

test('a pair that belongs together is read', async (t) => {
  const paths = await writeIdentity(t, { purposes: [SERVER_PURPOSE] });
  const identity = loadServerIdentity(paths, NOW);
  assert.equal(identity.certificate.subject, 'CN=server');
  assert.match(identity.certificatePem.toString(), /^-----BEGIN CERTIFICATE-----/);
  assert.match(identity.keyPem.toString(), /^-----BEGIN PRIVATE KEY-----/);
});

test('the chain after the certificate is kept', async (t) => {
  const authority = await makeAuthority();
  const server = await makeServer(authority);
  const pem = certificatePem(server, authority);
  const paths = {
    certificatePath: temporaryFile(t, pem),
    keyPath: temporaryFile(t, keyPem(server)),
  };
  assert.equal(loadServerIdentity(paths, NOW).certificatePem.toString(), pem);
});

test('a missing key and a missing certificate are named', async (t) => {
  const paths = await writeIdentity(t);
  const missing = join(temporaryDirectory(t), 'missing.pem');
  assert.throws(() => loadServerIdentity({ ...paths, keyPath: missing }, NOW), {
    code: 'DST_E_KEY_FILE',
    message: /missing\.pem.*ENOENT/,
  });
  assert.throws(() => loadServerIdentity({ ...paths, certificatePath: missing }, NOW), {
    code: 'DST_E_CERT_FILE',
    message: /missing\.pem.*ENOENT/,
  });
});

test('a key open to others is refused', async (t) => {
  const paths = await writeIdentity(t);
  for (const mode of [0o640, 0o604, 0o620, 0o777]) {
    chmodSync(paths.keyPath, mode);
    assert.throws(() => loadServerIdentity(paths, NOW), {
      code: 'DST_E_KEY_MODE',
      message: /chmod 600/,
    });
  }
  chmodSync(paths.keyPath, 0o400);
  loadServerIdentity(paths, NOW);
});

test('a key of another certificate is refused', async (t) => {
  const paths = await writeIdentity(t);
  const other = await writeIdentity(t);
  assert.throws(() => loadServerIdentity({ ...paths, keyPath: other.keyPath }, NOW), {
    code: 'DST_E_CERT_KEY',
  });
});

test('a file that is no key is refused', async (t) => {
  const paths = await writeIdentity(t);
  for (const content of [
    '',
    certificatePem(await makeAuthority()),
    '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
  ]) {
    const keyPath = temporaryFile(t, content);
    assert.throws(() => loadServerIdentity({ ...paths, keyPath }, NOW), { code: 'DST_E_KEY_FILE' });
  }
});

test('an encrypted key is refused, in either form of PEM', async (t) => {
  const paths = await writeIdentity(t);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  for (const type of ['pkcs8', 'sec1'] as const) {
    const pem = privateKey.export({
      type,
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'secret',
    });
    const keyPath = temporaryFile(t, pem);
    assert.throws(() => loadServerIdentity({ ...paths, keyPath }, NOW), {
      code: 'DST_E_KEY_ENCRYPTED',
    });
  }
});

test('a certificate out of date is refused, by its path', async (t) => {
  for (const dates of [
    { notBefore: new Date('2030-01-01'), notAfter: YESTERDAY },
    { notBefore: TOMORROW, notAfter: new Date('2031-01-01') },
  ]) {
    const paths = await writeIdentity(t, dates);
    assert.throws(
      () => loadServerIdentity(paths, NOW),
      (error: Error & { code?: string }) =>
        error.code === 'DST_E_CERT_EXPIRED' && error.message.includes(paths.certificatePath),
    );
  }
});

test('a certificate for the other end is refused', async (t) => {
  const client = await writeIdentity(t, { purposes: [CLIENT_PURPOSE] });
  const server = await writeIdentity(t, { purposes: [SERVER_PURPOSE] });
  assert.throws(() => loadServerIdentity(client, NOW), { code: 'DST_E_CERT_USAGE' });
  assert.throws(() => loadClientIdentity(server, NOW), { code: 'DST_E_CERT_USAGE' });
  loadClientIdentity(client, NOW);
});
