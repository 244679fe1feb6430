import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import {
  loadServerTrust,
  type ServerTrust,
  verifyServerChain,
} from '../../src/trust/server-trust.js';
import {
  type CertificateOptions,
  certificatePem,
  type Made,
  makeAuthority,
  makeServer,
  NOW,
  TOMORROW,
  temporaryDirectory,
  temporaryFile,
  YESTERDAY,
} from './certificate-maker.js';

function authorities(...made: Made[]): ServerTrust {
  return {
    kind: 'authorities',
    path: 'ca.pem',
    certificates: made.map(({ certificate }) => certificate),
  };
}

function pin({ certificate }: Made): ServerTrust {
  return { kind: 'pin', path: 'server.pem', certificate };
}

function verify(trust: ServerTrust, chain: Made[], host = 'localhost'): void {
  verifyServerChain(
    trust,
    chain.map(({ certificate }) => certificate),
    host,
    NOW,
  );
}

async function serverBelowAuthority(
  options: CertificateOptions = {},
): Promise<{ authority: Made; server: Made }> {
  const authority = await makeAuthority();
  return { authority, server: await makeServer(authority, options) };
}

test('a certificate that the authority signed is accepted under each of its names', async () => {
  const { authority, server } = await serverBelowAuthority();
  for (const host of ['localhost', 'LOCALHOST', 'localhost.', '127.0.0.1', '::1', '0:0::1']) {
    verify(authorities(authority), [server], host);
  }
});

test('an IPv4 address written as IPv6 is the IPv4 address', async () => {
  const { authority, server } = await serverBelowAuthority();
  verify(authorities(authority), [server], '::ffff:127.0.0.1');
});

test('the authority itself may be shown too', async () => {
  const { authority, server } = await serverBelowAuthority();
  verify(authorities(authority), [server, authority]);
});

test('a server that shows no certificate is refused', async () => {
  const { authority } = await serverBelowAuthority();
  assert.throws(() => verify(authorities(authority), []), { code: 'DST_E_CERT_AUTHORITY' });
});

test('a certificate of another authority is refused, by name', async () => {
  const { server } = await serverBelowAuthority();
  const other = await makeAuthority({ subject: 'CN=other' });
  assert.throws(() => verify(authorities(other), [server]), {
    code: 'DST_E_CERT_AUTHORITY',
    message: /ca\.pem.*localhost.*CN=server/,
  });
});

test('an authority of the same name with another key is refused', async () => {
  const { server } = await serverBelowAuthority();
  const impostor = await makeAuthority();
  assert.throws(() => verify(authorities(impostor), [server]), { code: 'DST_E_CERT_AUTHORITY' });
});

test('of two authorities with one name the right one is found', async () => {
  const { authority, server } = await serverBelowAuthority();
  verify(authorities(await makeAuthority(), authority), [server]);
});

test('a wrong name is refused, with the host and the names that there are', async () => {
  const { authority, server } = await serverBelowAuthority();
  assert.throws(() => verify(authorities(authority), [server], 'disk.example.com'), {
    code: 'DST_E_CERT_NAME',
    message: /DNS:localhost.*disk\.example\.com/,
  });
});

test('a wrong address is refused', async () => {
  const { authority, server } = await serverBelowAuthority();
  assert.throws(() => verify(authorities(authority), [server], '127.0.0.2'), {
    code: 'DST_E_CERT_NAME',
  });
});

test('a host that is no name matches nothing', async () => {
  const { authority, server } = await serverBelowAuthority({
    names: [{ type: 'dns', value: 'disk.example.com' }],
  });
  // OpenSSL reads a leading dot as "any name below".
  for (const host of ['.example.com', '', 'disk.example.com\0.evil']) {
    assert.throws(() => verify(authorities(authority), [server], host), {
      code: 'DST_E_CERT_NAME',
    });
  }
});

test('the common name does not count', async () => {
  const authority = await makeAuthority();
  const server = await makeServer(authority, {
    subject: 'CN=disk.example.com',
    names: [{ type: 'dns', value: 'localhost' }],
  });
  assert.throws(() => verify(authorities(authority), [server], 'disk.example.com'), {
    code: 'DST_E_CERT_NAME',
  });
});

test('a certificate without names says so', async () => {
  const { authority, server } = await serverBelowAuthority({ names: [] });
  assert.throws(() => verify(authorities(authority), [server]), {
    code: 'DST_E_CERT_NAME',
    message: /no name at all/,
  });
});

test('a wildcard stands for one whole label', async () => {
  const { authority, server } = await serverBelowAuthority({
    names: [
      { type: 'dns', value: '*.example.com' },
      { type: 'dns', value: 'disk*.example.org' },
    ],
  });
  verify(authorities(authority), [server], 'disk.example.com');
  for (const host of ['a.disk.example.com', 'example.com', 'disk1.example.org']) {
    assert.throws(() => verify(authorities(authority), [server], host), {
      code: 'DST_E_CERT_NAME',
    });
  }
});

test('an expired certificate is refused, with the date', async () => {
  const { authority, server } = await serverBelowAuthority({
    notBefore: new Date('2030-01-01'),
    notAfter: YESTERDAY,
  });
  assert.throws(() => verify(authorities(authority), [server]), {
    code: 'DST_E_CERT_EXPIRED',
    message: /localhost.*expired on 2030-06-14/,
  });
});

test('a certificate that is not valid yet is refused, with the date', async () => {
  const { authority, server } = await serverBelowAuthority({
    notBefore: TOMORROW,
    notAfter: new Date('2031-01-01'),
  });
  assert.throws(() => verify(authorities(authority), [server]), {
    code: 'DST_E_CERT_EXPIRED',
    message: /not valid before 2030-06-16/,
  });
});

test('a certificate for clients only is refused', async () => {
  const { authority, server } = await serverBelowAuthority({ purposes: ['1.3.6.1.5.5.7.3.2'] });
  assert.throws(() => verify(authorities(authority), [server]), {
    code: 'DST_E_CERT_USAGE',
    message: /not made for use as a TLS server/,
  });
});

test('a certificate whose key may not sign is refused', async () => {
  const { authority, server } = await serverBelowAuthority({ keyUsage: 0x20 });
  assert.throws(() => verify(authorities(authority), [server]), {
    code: 'DST_E_CERT_USAGE',
    message: /may not be used for signatures/,
  });
});

test('the pinned certificate is accepted under any name', async () => {
  const server = await makeServer(undefined);
  verify(pin(server), [server], 'disk.example.com');
});

test('a pin accepts no other certificate of the same authority', async () => {
  const { authority, server } = await serverBelowAuthority();
  const other = await makeServer(authority);
  assert.throws(() => verify(pin(server), [other]), {
    code: 'DST_E_CERT_PIN',
    message: new RegExp(
      `${other.certificate.fingerprint256}.*${server.certificate.fingerprint256}`,
    ),
  });
});

test('a pinned certificate behind another one is refused', async () => {
  const { authority, server } = await serverBelowAuthority();
  const other = await makeServer(authority);
  assert.throws(() => verify(pin(server), [other, server]), { code: 'DST_E_CERT_PIN' });
});

test('a pinned certificate must be in date', async () => {
  const server = await makeServer(undefined, {
    notBefore: new Date('2030-01-01'),
    notAfter: YESTERDAY,
  });
  assert.throws(() => verify(pin(server), [server]), { code: 'DST_E_CERT_EXPIRED' });
});

test('a self-signed authority that is the server itself is accepted as given', async () => {
  // What `openssl req -x509` makes: CA:TRUE, and often no name.
  const server = await makeAuthority();
  verify(authorities(server), [server], 'disk.example.com');
});

test('a file that begins with a leaf is a pin, whatever follows', async (t) => {
  const { authority, server } = await serverBelowAuthority();
  const trust = loadServerTrust(temporaryFile(t, certificatePem(server, authority)));
  assert.equal(trust.kind, 'pin');
  verify(trust, [server]);
});

test('a file of authorities trusts each of them', async (t) => {
  const { authority, server } = await serverBelowAuthority();
  const other = await makeAuthority({ subject: 'CN=other' });
  const trust = loadServerTrust(temporaryFile(t, certificatePem(other, authority)));
  assert.equal(trust.kind, 'authorities');
  verify(trust, [server]);
});

test('a file of an authority and then a leaf is refused as ambiguous', async (t) => {
  const { authority, server } = await serverBelowAuthority();
  const path = temporaryFile(t, certificatePem(authority, server));
  assert.throws(() => loadServerTrust(path), { code: 'DST_E_CERT_FILE', message: /CN=server/ });
});

test('a file that is missing, a directory, empty or not PEM is refused by its path', async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, 'folder'));
  const broken = certificatePem(await makeAuthority()).replace('-----END CERTIFICATE-----', '');
  const paths = [
    join(directory, 'missing.pem'),
    join(directory, 'folder'),
    temporaryFile(t, ''),
    temporaryFile(t, 'not a certificate'),
    temporaryFile(t, broken),
    temporaryFile(t, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
    temporaryFile(t, Buffer.alloc(2 * 1024 * 1024)),
  ];
  for (const path of paths) {
    assert.throws(
      () => loadServerTrust(path),
      (error: Error & { code?: string }) =>
        error.code === 'DST_E_CERT_FILE' && error.message.includes(path),
    );
  }
});
