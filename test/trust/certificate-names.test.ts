import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificateNames } from '../../src/trust/certificate-names.js';
import { makeCertificate } from './certificate-maker.js';

test('names are the DNS names, emails and URIs, then the common names', async () => {
  const { certificate } = await makeCertificate({
    subject: 'CN=the client, O=Example, CN=another',
    names: [
      { type: 'dns', value: 'a.example' },
      { type: 'ip', value: '192.0.2.1' },
      { type: 'email', value: 'me@example.com' },
      { type: 'url', value: 'spiffe://example/host' },
    ],
  });
  const [dns, email, url, ...common] = certificateNames(certificate);
  assert.deepEqual([dns, email, url], ['a.example', 'me@example.com', 'spiffe://example/host']);
  assert.deepEqual(common.toSorted(), ['another', 'the client']);
});

test('a name that looks like several stays one', async () => {
  const { certificate } = await makeCertificate({
    subject: 'CN=x',
    names: [{ type: 'url', value: 'urn:x, DNS:admin.example' }],
  });
  assert.deepEqual(certificateNames(certificate), ['urn:x, DNS:admin.example', 'x']);
});

test('without names there are none', async () => {
  const { certificate } = await makeCertificate({ subject: 'O=Example' });
  assert.deepEqual(certificateNames(certificate), []);
});
