import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { defaultHosts, generateCertificates } from '../../src/trust/generate.js';
import { loadClientIdentity, loadServerIdentity } from '../../src/trust/identity.js';
import { loadServerTrust, verifyServerChain } from '../../src/trust/server-trust.js';
import { skipWithout } from '../support/tools.js';
import {
  certificatePem,
  keyPem,
  makeAuthority,
  makeKeys,
  NOW,
  temporaryDirectory,
} from './certificate-maker.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const HOSTS = ['localhost', '127.0.0.1', '::1'];

function generate(t: TestContext, hosts: string[] = HOSTS, days = 30) {
  const directory = join(temporaryDirectory(t), 'new', 'certs');
  return generateCertificates({ directory, hosts, days, now: NOW });
}

function again({ files }: { files: { caCertificate: string } }, now = NOW, hosts = HOSTS) {
  const directory = join(files.caCertificate, '..');
  return generateCertificates({ directory, hosts, days: 30, now });
}

function read(path: string): X509Certificate {
  return new X509Certificate(readFileSync(path));
}

test('six files, and nothing else, in a directory of the owner', async (t) => {
  const { files } = await generate(t);
  const directory = join(files.caCertificate, '..');
  assert.deepEqual(readdirSync(directory).sort(), [
    'ca-key.pem',
    'ca.pem',
    'client-key.pem',
    'client.pem',
    'server-key.pem',
    'server.pem',
  ]);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  for (const [name, path] of Object.entries(files)) {
    assert.equal(statSync(path).mode & 0o777, name.endsWith('Key') ? 0o600 : 0o644, name);
  }
});

test('modes do not depend on the umask', async (t) => {
  const before = process.umask(0o077);
  t.after(() => process.umask(before));
  const { files } = await generate(t);
  assert.equal(statSync(files.serverCertificate).mode & 0o777, 0o644);
  process.umask(0);
  const open = await generate(t);
  assert.equal(statSync(open.files.serverKey).mode & 0o777, 0o600);
});

test('both identities can be loaded, and the server is trusted by CA and by pin', async (t) => {
  const { files } = await generate(t);
  const server = loadServerIdentity(
    { certificatePath: files.serverCertificate, keyPath: files.serverKey },
    NOW,
  );
  loadClientIdentity({ certificatePath: files.clientCertificate, keyPath: files.clientKey }, NOW);
  const byAuthority = loadServerTrust(files.caCertificate);
  const byPin = loadServerTrust(files.serverCertificate);
  assert.equal(byAuthority.kind, 'authorities');
  assert.equal(byPin.kind, 'pin');
  for (const host of HOSTS) verifyServerChain(byAuthority, [server.certificate], host, NOW);
  verifyServerChain(byPin, [server.certificate], 'elsewhere', NOW);
});

test('the client certificate is not accepted as a server', async (t) => {
  const { files } = await generate(t);
  const chain = [read(files.clientCertificate)];
  const trust = loadServerTrust(files.caCertificate);
  assert.throws(() => verifyServerChain(trust, chain, 'localhost', NOW), {
    code: 'DST_E_CERT_USAGE',
  });
});

test('names are kept once, in one form, wildcards too', async (t) => {
  const { files, hosts } = await generate(t, [
    'A.example',
    'a.example.',
    '2001:DB8:0::1',
    '*.B.example',
  ]);
  assert.deepEqual(hosts, ['a.example', '2001:db8::1', '*.b.example']);
  const trust = loadServerTrust(files.caCertificate);
  const chain = [read(files.serverCertificate)];
  for (const host of ['a.example', '2001:db8::1', 'x.b.example']) {
    verifyServerChain(trust, chain, host, NOW);
  }
});

test("without hosts it is for this machine's own names", async (t) => {
  const { hosts } = await generate(t, []);
  assert.deepEqual(hosts.slice(0, 3), HOSTS);
  assert.equal(hosts.length, new Set(defaultHosts().map((host) => host.toLowerCase())).size);
});

test('a host that is no host is refused, and nothing is written', async (t) => {
  const directory = join(temporaryDirectory(t), 'certs');
  for (const host of ['', 'a b', '[::1]', 'host:80', '*.1.2.3.4', 'fe80::1%eth0', '*', 'x\n']) {
    await assert.rejects(generateCertificates({ directory, hosts: [host], days: 1 }), {
      code: 'DST_E_CERT_HOST',
    });
  }
  await assert.rejects(
    generateCertificates({ directory, hosts: Array<string>(65).fill('a'), days: 1 }),
    { code: 'DST_E_CERT_HOST' },
  );
  assert.throws(() => readdirSync(directory));
});

test('days outside the range are refused', async (t) => {
  const directory = temporaryDirectory(t);
  for (const days of [0, -1, 1.5, 3651, Number.NaN, Infinity]) {
    await assert.rejects(generateCertificates({ directory, hosts: HOSTS, days }), {
      code: 'DST_E_CERT_DAYS',
    });
  }
});

test('certificates begin a little earlier and last as long as asked', async (t) => {
  const { files, validUntil } = await generate(t, HOSTS, 30);
  const server = read(files.serverCertificate);
  assert.equal(Date.parse(server.validFrom), NOW.getTime() - 60 * 60 * 1000);
  assert.equal(Date.parse(server.validTo), NOW.getTime() + 30 * DAY_MS);
  assert.deepEqual(validUntil, new Date(server.validTo));
});

test('serial numbers are positive and differ', async (t) => {
  const { files } = await generate(t);
  const serials = [files.caCertificate, files.serverCertificate, files.clientCertificate].map(
    (path) => read(path).serialNumber,
  );
  assert.equal(new Set(serials).size, 3);
  for (const serial of serials) assert.match(serial, /^[0-9A-F]{2,32}$/);
});

test('a second run keeps the authority and makes the rest anew', async (t) => {
  const first = await generate(t);
  const paths = Object.entries(first.files);
  const old = new Map(paths.map(([name, path]) => [name, readFileSync(path, 'utf8')]));
  const second = await again(first, NOW, ['disk.example.com']);
  assert.equal(first.authorityReused, false);
  assert.equal(second.authorityReused, true);
  for (const [name, path] of paths) {
    assert.equal(readFileSync(path, 'utf8') === old.get(name), name.startsWith('ca'), name);
  }
  const trust = loadServerTrust(first.files.caCertificate);
  verifyServerChain(trust, [read(first.files.serverCertificate)], 'disk.example.com', NOW);
});

test('an authority that was made elsewhere signs too, whatever its name', async (t) => {
  const directory = temporaryDirectory(t);
  const authority = await makeAuthority({ subject: 'O=Example\\, Inc., CN=Root' });
  writeFileSync(join(directory, 'ca.pem'), certificatePem(authority));
  writeFileSync(join(directory, 'ca-key.pem'), keyPem(authority), { mode: 0o600 });
  const { files } = await generateCertificates({ directory, hosts: HOSTS, days: 30, now: NOW });
  const trust = loadServerTrust(files.caCertificate);
  verifyServerChain(trust, [read(files.serverCertificate)], 'localhost', NOW);
  assert.deepEqual(
    read(files.serverCertificate).validTo,
    authority.certificate.validTo,
    'ends with its authority',
  );
});

test('an expired authority is replaced', async (t) => {
  const first = await generate(t);
  const later = new Date(NOW.getTime() + 3651 * DAY_MS);
  const second = await again(first, later);
  assert.equal(second.authorityReused, false);
  const trust = loadServerTrust(second.files.caCertificate);
  verifyServerChain(trust, [read(second.files.serverCertificate)], 'localhost', later);
});

test('half an authority is never replaced', async (t) => {
  const first = await generate(t);
  const certificate = readFileSync(first.files.caCertificate);
  rmSync(first.files.caKey);
  await assert.rejects(again(first), { code: 'DST_E_CERT_CA', message: /ca-key\.pem/ });
  assert.deepEqual(readFileSync(first.files.caCertificate), certificate);

  const other = await generate(t);
  rmSync(other.files.caCertificate);
  await assert.rejects(again(other), { code: 'DST_E_CERT_CA', message: /ca\.pem/ });
});

test('an authority that cannot sign for us is refused', async (t) => {
  const first = await generate(t);
  const { files } = first;
  const key = readFileSync(files.caKey);
  writeFileSync(files.caKey, readFileSync(files.serverKey));
  await assert.rejects(again(first), { code: 'DST_E_CERT_CA', message: /does not belong/ });

  writeFileSync(files.caKey, key);
  chmodSync(files.caKey, 0o644);
  await assert.rejects(again(first), { code: 'DST_E_KEY_MODE' });

  chmodSync(files.caKey, 0o600);
  writeFileSync(files.caCertificate, readFileSync(files.serverCertificate));
  await assert.rejects(again(first), {
    code: 'DST_E_CERT_CA',
    message: /no certificate authority/,
  });
});

test('an authority with a key of another kind is refused', async (t) => {
  const first = await generate(t);
  const keys = await makeKeys({ name: 'ECDSA', namedCurve: 'P-384' });
  const authority = await makeAuthority({ keys });
  writeFileSync(first.files.caCertificate, certificatePem(authority));
  writeFileSync(first.files.caKey, keyPem(authority));
  await assert.rejects(again(first), { code: 'DST_E_CERT_CA', message: /not an ECDSA P-256 key/ });
});

test('a directory that cannot be made is named', async (t) => {
  const directory = join(temporaryDirectory(t), 'file');
  writeFileSync(directory, '');
  await assert.rejects(generateCertificates({ directory, hosts: HOSTS, days: 1 }), {
    code: 'DST_E_CERT_DIRECTORY',
    message: /file.*--dir/,
  });
});

test('OpenSSL agrees on chain, names and purposes', { skip: skipWithout('openssl') }, async (t) => {
  const { files } = await generate(t);
  const verify = (...options: string[]) => {
    const at = ['-attime', String(NOW.getTime() / 1000), '-x509_strict'];
    const run = spawnSync(
      'openssl',
      ['verify', '-CAfile', files.caCertificate, ...at, ...options],
      { encoding: 'utf8' },
    );
    assert.equal(run.status, 0, run.stderr + run.stdout);
  };
  verify('-purpose', 'sslserver', '-verify_hostname', 'localhost', files.serverCertificate);
  verify('-purpose', 'sslserver', '-verify_ip', '::1', files.serverCertificate);
  verify('-purpose', 'sslclient', files.clientCertificate);
});
