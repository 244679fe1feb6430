import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLog } from '../../src/log.js';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { type ClientDemands, listenQuic } from '../../src/transport/quic/listen.js';
import type { Connection } from '../../src/transport/transport.js';
import { PURPOSE } from '../../src/trust/certificate-checks.js';
import type { Identity } from '../../src/trust/identity.js';
import { soon, until } from '../support/wait.js';
import {
  type CertificateOptions,
  certificatePem,
  keyPem,
  type Made,
  makeAuthority,
  makeCertificate,
  makeKeys,
  makeServer,
} from '../trust/certificate-maker.js';
import { failsWith } from './fixtures.js';

const HOST = '127.0.0.1';
const HOUR_MS = 60 * 60 * 1000;
const VALID = {
  notBefore: new Date(Date.now() - HOUR_MS),
  notAfter: new Date(Date.now() + HOUR_MS),
};

function identityOf(made: Made): Identity {
  return {
    certificate: made.certificate,
    certificatePem: Buffer.from(certificatePem(made)),
    keyPem: Buffer.from(keyPem(made)),
  };
}

async function clientOf(issuer: Made, options: CertificateOptions = {}): Promise<Identity> {
  const names = [{ type: 'dns', value: 'client.example' }] as const;
  const purposes = [PURPOSE.client];
  const subject = 'CN=client';
  return identityOf(
    await makeCertificate({ subject, issuer, purposes, ...VALID, ...options, names: [...names] }),
  );
}

/** An export that asks for certificates of an authority, and what it hears and notes. */
async function askingExport(t: TestContext, ...believed: Made[]) {
  const authority = await makeAuthority(VALID);
  const server = await makeServer(authority, VALID);
  const refusals: string[] = [];
  const clients: ClientDemands = {
    trust: {
      path: 'ca.pem',
      authorities: (believed.length > 0 ? believed : [authority]).map((made) => made.certificate),
    },
    refused: ({ address }, why) => refusals.push(`${address}: ${why}`),
  };
  const identity = identityOf(server);
  const options = { host: HOST, port: 0, identity, clients, log: silentLog };
  const [listener] = await listenQuic(options);
  assert.ok(listener);
  t.after(() => listener.close());
  const accepted: Connection[] = [];
  listener.onConnection((connection) => accepted.push(connection));
  const { port } = listener.address;
  const trust = { kind: 'pin', path: 'server.pem', certificate: server.certificate } as const;
  const dial = async (own?: Identity): Promise<Connection> => {
    const connection = await dialQuic({ host: HOST, port, trust, identity: own });
    t.after(() => connection.close('the test is over'));
    return connection;
  };
  return { authority, server, refusals, accepted, dial };
}

test('a client of the CA is let in, and the export knows its certificate', async (t) => {
  const { authority, accepted, refusals, dial } = await askingExport(t);
  const identity = await clientOf(authority);
  const connection = await dial(identity);
  await until(() => accepted.length === 1, 'the connection');
  assert.ok(accepted[0]?.clientCertificate?.raw.equals(identity.certificate.raw));
  assert.equal(connection.clientCertificate, undefined);
  assert.deepEqual(refusals, []);
});

test('both ends see the same certificate of the export', async (t) => {
  const { authority, accepted, dial } = await askingExport(t);
  const connection = await dial(await clientOf(authority));
  await until(() => accepted.length === 1, 'the connection');
  const { serverCertificateSha256 } = connection;
  assert.ok(serverCertificateSha256?.length === 32);
  assert.deepEqual(accepted[0]?.serverCertificateSha256, serverCertificateSha256);
});

const REFUSED: readonly [
  what: string,
  says: RegExp,
  notes: RegExp,
  make: (authority: Made) => Promise<Identity | undefined>,
][] = [
  [
    'no certificate',
    /asks for a client certificate.*--client-cert.*--client-key/,
    /client certificate required/,
    async () => undefined,
  ],
  [
    'a certificate of another CA',
    /refused this client's certificate.*--client-cert/,
    /alert 48 \(unknown ca\)/,
    async () => clientOf(await makeAuthority({ subject: 'CN=another', ...VALID })),
  ],
  [
    'a certificate of another CA with the same name',
    /refused this client's certificate.*--client-cert/,
    /alert 51 \(decrypt error\)/,
    async () => clientOf(await makeAuthority(VALID)),
  ],
  [
    'a certificate that is out of date',
    /refused this client's certificate: .*in date/,
    /alert 45 \(certificate expired\)/,
    (authority) => clientOf(authority, { notAfter: new Date(Date.now() - 1000) }),
  ],
  [
    'a certificate for servers',
    /refused this client's certificate/,
    /alert 43 \(unsupported certificate\)/,
    (authority) => clientOf(authority, { purposes: [PURPOSE.server] }),
  ],
];

for (const [what, says, notes, make] of REFUSED) {
  test(`a client with ${what} is refused, told why, and noted`, async (t) => {
    const { authority, accepted, refusals, dial } = await askingExport(t);
    const dialling = dial(await make(authority));
    await assert.rejects(soon(dialling, 'the refusal'), (error: Error) => {
      assert.match(error.message, says);
      return failsWith('DST_E_CERT_CLIENT')(error);
    });
    await until(() => refusals.length === 1, 'the note');
    assert.match(refusals[0] ?? '', notes);
    assert.match(refusals[0] ?? '', /^127\.0\.0\.1: /);
    assert.equal(accepted.length, 0);
  });
}

test('a client of an authority below another is let in, with its root known as well', async (t) => {
  const root = await makeAuthority({ subject: 'CN=root', ...VALID });
  const middle = await makeAuthority({ subject: 'CN=middle', issuer: root, ...VALID });
  const { accepted, refusals, dial } = await askingExport(t, middle, root);
  const identity = await clientOf(middle);
  await dial(identity);
  await until(() => accepted.length === 1, 'the connection');
  assert.ok(accepted[0]?.clientCertificate?.raw.equals(identity.certificate.raw), refusals[0]);
});

test('what TLS accepts and we do not comes without its certificate, and is noted', async (t) => {
  // An RSA key of a length that BoringSSL has nothing against.
  const name = 'RSASSA-PKCS1-v1_5';
  const strength = { modulusLength: 1024, publicExponent: Buffer.from([1, 0, 1]), hash: 'SHA-256' };
  const signingAlgorithm = { name };
  const keys = await makeKeys({ name, ...strength });
  const authority = await makeAuthority({ ...VALID, keys, signingAlgorithm });
  const { accepted, refusals, dial } = await askingExport(t, authority);
  await dial(await clientOf(authority, { signingAlgorithm }));
  await until(() => accepted.length === 1, 'the connection');
  assert.equal(accepted[0]?.clientCertificate, undefined);
  assert.match(refusals[0] ?? '', /RSA key of 1024 bits/);
});

test('an export that asks for none is not shown one', async (t) => {
  const authority = await makeAuthority(VALID);
  const server = await makeServer(authority, VALID);
  const options = { host: HOST, port: 0, identity: identityOf(server), log: silentLog };
  const [listener] = await listenQuic(options);
  assert.ok(listener);
  t.after(() => listener.close());
  const accepting = new Promise<Connection>((resolve) => listener.onConnection(resolve));
  const connection = await dialQuic({
    host: HOST,
    port: listener.address.port,
    trust: { kind: 'pin', path: 'server.pem', certificate: server.certificate },
    identity: await clientOf(authority),
  });
  t.after(() => connection.close('the test is over'));
  assert.equal((await soon(accepting, 'the connection')).clientCertificate, undefined);
});
