import assert from 'node:assert/strict';
import test from 'node:test';
import { findChainProblem } from '../../src/trust/chain.js';
import {
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  type Made,
  makeAuthority,
  makeCertificate,
  makeKeys,
  makeServer,
  NOW,
  YESTERDAY,
} from './certificate-maker.js';

function problemOf(leaf: Made, intermediates: Made[], anchors: Made[]): string | undefined {
  return findChainProblem({
    leaf: leaf.certificate,
    intermediates: intermediates.map(({ certificate }) => certificate),
    anchors: anchors.map(({ certificate }) => certificate),
    purpose: 'server',
    now: NOW,
  })?.code;
}

async function chainWith(
  intermediate: Parameters<typeof makeAuthority>[0],
): Promise<{ root: Made; middle: Made; server: Made }> {
  const root = await makeAuthority({ subject: 'CN=root' });
  const middle = await makeAuthority({ subject: 'CN=middle', issuer: root, ...intermediate });
  return { root, middle, server: await makeServer(middle) };
}

/** A line of authorities, each signed by the one before. */
async function authorityLine(length: number): Promise<Made[]> {
  const line = [await makeAuthority({ subject: 'CN=0' })];
  for (let index = 1; index < length; index += 1) {
    const issuer = line.at(-1);
    assert(issuer);
    line.push(await makeAuthority({ subject: `CN=${index}`, issuer }));
  }
  return line;
}

test('a leaf reaches an anchor through an intermediate', async () => {
  const { root, middle, server } = await chainWith({});
  assert.equal(problemOf(server, [middle], [root]), undefined);
});

test('an intermediate may itself be the anchor', async () => {
  const { middle, server } = await chainWith({});
  assert.equal(problemOf(server, [], [middle]), undefined);
});

test('without its intermediate a leaf reaches no anchor', async () => {
  const { root, server } = await chainWith({});
  assert.equal(problemOf(server, [], [root]), 'DST_E_CERT_AUTHORITY');
});

test('intermediates are found in any order, among strangers', async () => {
  const [root, ...line] = await authorityLine(4);
  const lowest = line.at(-1);
  assert(root && lowest);
  const server = await makeServer(lowest);
  const stranger = await makeAuthority({ subject: 'CN=stranger' });
  assert.equal(problemOf(server, [stranger, ...line], [root]), undefined);
});

test('a way that leads nowhere is left for one that leads on', async () => {
  const root = await makeAuthority({ subject: 'CN=root' });
  const lost = await makeAuthority({ subject: 'CN=lost' });
  const keys = await makeKeys();
  const dead = await makeAuthority({ subject: 'CN=middle', issuer: lost, keys });
  const middle = await makeAuthority({ subject: 'CN=middle', issuer: root, keys });
  assert.equal(problemOf(await makeServer(middle), [dead, middle], [root]), undefined);
});

test('a leaf that is no authority may not sign another', async () => {
  const { root, middle, server } = await chainWith({ authority: false });
  assert.equal(problemOf(server, [middle], [root]), 'DST_E_CERT_USAGE');
});

test('an authority without basic constraints is none', async () => {
  const root = await makeCertificate({ subject: 'CN=root' });
  assert.equal(problemOf(await makeServer(root), [], [root]), 'DST_E_CERT_USAGE');
});

test('an authority whose key may not sign certificates is refused', async () => {
  const { root, middle, server } = await chainWith({ keyUsage: KeyUsageFlags.digitalSignature });
  assert.notEqual(problemOf(server, [middle], [root]), undefined);
});

test('an authority whose key may sign certificates is accepted', async () => {
  const { root, middle, server } = await chainWith({ keyUsage: KeyUsageFlags.keyCertSign });
  assert.equal(problemOf(server, [middle], [root]), undefined);
});

test('an authority that allows none below it is obeyed', async () => {
  const root = await makeAuthority({ subject: 'CN=root', pathLength: 0 });
  const middle = await makeAuthority({ subject: 'CN=middle', issuer: root });
  assert.equal(problemOf(await makeServer(middle), [middle], [root]), 'DST_E_CERT_USAGE');
  assert.equal(problemOf(await makeServer(root), [], [root]), undefined);
});

test('an expired intermediate is refused', async () => {
  const { root, middle, server } = await chainWith({
    notBefore: new Date('2030-01-01'),
    notAfter: YESTERDAY,
  });
  assert.equal(problemOf(server, [middle], [root]), 'DST_E_CERT_EXPIRED');
});

test('an expired anchor is refused', async () => {
  const root = await makeAuthority({ notBefore: new Date('2030-01-01'), notAfter: YESTERDAY });
  assert.equal(problemOf(await makeServer(root), [], [root]), 'DST_E_CERT_EXPIRED');
});

test('an authority for clients only is refused', async () => {
  const { root, middle, server } = await chainWith({ purposes: ['1.3.6.1.5.5.7.3.2'] });
  assert.equal(problemOf(server, [middle], [root]), 'DST_E_CERT_USAGE');
});

test('an authority for any purpose is accepted', async () => {
  const { root, middle, server } = await chainWith({
    extensions: [new ExtendedKeyUsageExtension(['2.5.29.37.0'])],
  });
  assert.equal(problemOf(server, [middle], [root]), undefined);
});

test('a critical extension that is not understood is refused', async () => {
  const { root, middle, server } = await chainWith({
    extensions: [new Extension('1.2.3.4.5', true, Uint8Array.of(5, 0))],
  });
  assert.equal(problemOf(server, [middle], [root]), 'DST_E_CERT_USAGE');
});

test('name constraints are refused even where they are not critical', async () => {
  const { root, middle, server } = await chainWith({
    extensions: [new Extension('2.5.29.30', false, Uint8Array.of(0x30, 0))],
  });
  assert.equal(problemOf(server, [middle], [root]), 'DST_E_CERT_USAGE');
});

test('an unknown extension that is not critical is no matter', async () => {
  const { root, middle, server } = await chainWith({
    extensions: [new Extension('1.2.3.4.5', false, Uint8Array.of(5, 0))],
  });
  assert.equal(problemOf(server, [middle], [root]), undefined);
});

test('a signature over SHA-1 is refused', async () => {
  const root = await makeAuthority();
  const server = await makeServer(root, { hash: 'SHA-1' });
  assert.equal(problemOf(server, [], [root]), 'DST_E_CERT_USAGE');
});

test('a signature by a short RSA key is refused, by a longer one accepted', async () => {
  for (const [modulusLength, expected] of [
    [1024, 'DST_E_CERT_USAGE'],
    [2048, undefined],
  ] as const) {
    const signingAlgorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    const publicExponent = Uint8Array.of(1, 0, 1);
    const keys = await makeKeys({ ...signingAlgorithm, modulusLength, publicExponent });
    const root = await makeAuthority({ keys, signingAlgorithm });
    const server = await makeServer(root, { signingAlgorithm });
    assert.equal(problemOf(server, [], [root]), expected);
  }
});

test('a chain of eight certificates is accepted, and one of nine refused', async () => {
  const line = await authorityLine(8);
  const [root, ...rest] = line;
  const [seventh, eighth] = line.slice(-2);
  assert(root && seventh && eighth);
  assert.equal(problemOf(await makeServer(seventh), rest.slice(0, -1), [root]), undefined);
  assert.equal(problemOf(await makeServer(eighth), rest, [root]), 'DST_E_CERT_AUTHORITY');
});

test('many look-alike issuers cost a bounded number of signature checks', async () => {
  const signer = await makeAuthority({ subject: 'CN=twin' });
  const twins = await Promise.all(
    Array.from({ length: 40 }, () => makeAuthority({ subject: 'CN=twin', issuer: signer })),
  );
  const server = await makeServer(signer);
  let checks = 0;
  const verify = server.certificate.verify.bind(server.certificate);
  server.certificate.verify = (key) => {
    checks += 1;
    return verify(key);
  };
  assert.equal(problemOf(server, twins, [await makeAuthority()]), 'DST_E_CERT_AUTHORITY');
  assert.equal(checks, 32);
});
