import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PURPOSE } from '../../src/trust/certificate-checks.js';
import { loadClientTrust, verifyClientChain } from '../../src/trust/client-trust.js';
import { failsWith, temporaryDirectory } from '../transport/fixtures.js';
import {
  type CertificateOptions,
  certificatePem,
  makeCertificate,
  NOW,
  TOMORROW,
} from './certificate-maker.js';

async function site(options: CertificateOptions = {}) {
  const authority = await makeCertificate({ subject: 'CN=CA', authority: true });
  const client = await makeCertificate({
    subject: 'CN=client',
    issuer: authority,
    purposes: [PURPOSE.client],
    ...options,
  });
  const trust = { path: 'ca.pem', authorities: [authority.certificate] };
  return { authority, client, trust };
}

test('a client of the CA is returned', async () => {
  const { client, trust } = await site();
  assert.equal(verifyClientChain(trust, [client.certificate], NOW), client.certificate);
});

test('no certificate, and one of another CA, are refused', async () => {
  const { trust } = await site();
  const { client: stranger } = await site();
  assert.throws(() => verifyClientChain(trust, [], NOW), failsWith('DST_E_CERT_CLIENT'));
  assert.throws(
    () => verifyClientChain(trust, [stranger.certificate], NOW),
    failsWith('DST_E_CERT_AUTHORITY'),
  );
});

test('a certificate that is out of date is refused', async () => {
  const { client, trust } = await site({ notAfter: TOMORROW });
  const later = new Date(TOMORROW.getTime() + 1000);
  assert.throws(() => verifyClientChain(trust, [client.certificate], later), /expired/);
});

test('a certificate that is made for servers is refused', async () => {
  const { client, trust } = await site({ purposes: [PURPOSE.server] });
  assert.throws(
    () => verifyClientChain(trust, [client.certificate], NOW),
    failsWith('DST_E_CERT_USAGE'),
  );
});

test('a file with a certificate that is no authority’s is refused', async (t) => {
  const { authority, client } = await site();
  const path = join(temporaryDirectory(t), 'ca.pem');
  writeFileSync(path, `${authority.certificate}${client.certificate}`);
  assert.throws(() => loadClientTrust(path), failsWith('DST_E_CERT_FILE'));
  writeFileSync(path, `${authority.certificate}`);
  assert.equal(loadClientTrust(path).authorities.length, 1);
});

test('an authority below another is taken only with the root above it', async (t) => {
  const root = await makeCertificate({ subject: 'CN=root', authority: true });
  const middle = await makeCertificate({ subject: 'CN=middle', authority: true, issuer: root });
  const low = await makeCertificate({ subject: 'CN=low', authority: true, issuer: middle });
  const another = await makeCertificate({ subject: 'CN=root', authority: true });
  const path = join(temporaryDirectory(t), 'ca.pem');
  for (const lacking of [[middle], [middle, another], [root, low], [low, middle]]) {
    writeFileSync(path, certificatePem(...lacking));
    assert.throws(() => loadClientTrust(path), /^DstError: .*below another.*the root above it/);
  }
  for (const whole of [[root], [low, middle, root], [another, middle, root]]) {
    writeFileSync(path, certificatePem(...whole));
    assert.equal(loadClientTrust(path).authorities.length, whole.length);
  }
});
