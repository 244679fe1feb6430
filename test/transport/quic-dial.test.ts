import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { dialQuic } from '../../src/transport/quic/dial.js';
import type { Connection } from '../../src/transport/transport.js';
import type { Identity } from '../../src/trust/identity.js';
import type { ServerTrust } from '../../src/trust/server-trust.js';
import { runModule } from '../support/run-module.js';
import { soon, until } from '../support/wait.js';
import { certificatePem, keyPem, makeAuthority, makeServer } from '../trust/certificate-maker.js';
import { certificatesFor, closedPort, failsWith, quicListener } from './fixtures.js';

const HOUR_MS = 60 * 60 * 1000;

/** Dials a listener that has this identity, and hangs up. */
async function dialOnce(
  t: TestContext,
  identity: Identity,
  trust: ServerTrust,
  options: { listen?: string; host?: string } = {},
): Promise<Connection> {
  const listener = await quicListener(t, identity, options.listen);
  let streams = 0;
  listener.onConnection((connection) => {
    connection.onStream(() => streams++);
  });
  const { port, address } = listener.address;
  try {
    const connection = await dialQuic({ host: options.host ?? address, port, trust });
    connection.close('seen');
    return connection;
  } finally {
    assert.equal(streams, 0, 'something was sent before the certificate was accepted');
  }
}

for (const address of ['127.0.0.1', '::1']) {
  test(`an address that the certificate has is accepted: ${address}`, async (t) => {
    const { identity, authority } = await certificatesFor(t, [address]);
    const connection = await dialOnce(t, identity, authority, { listen: address });
    assert.deepEqual(connection.peer.address, address);
    const fingerprint = connection.serverCertificateSha256?.toString('hex');
    assert.match(fingerprint ?? '', /^[0-9a-f]{64}$/);
  });
}

test('an address that the certificate does not have is refused', async (t) => {
  const { identity, authority } = await certificatesFor(t, ['192.0.2.1']);
  await assert.rejects(dialOnce(t, identity, authority), failsWith('DST_E_CERT_NAME'));
});

test('what the engine will not even start with is an error like others', async (t) => {
  const { identity, authority } = await certificatesFor(t, ['127.0.0.1']);
  const place = { host: '127.0.0.1', port: await closedPort(), trust: authority };
  await assert.rejects(
    dialQuic({ ...place, identity: { ...identity, certificatePem: Buffer.from('nothing') } }),
    {
      code: 'DST_E_UNREACHABLE',
      message: /cannot start a connection to 127.0.0.1:.*expected PEM/,
    },
  );
});

test('a certificate of another authority is refused', async (t) => {
  const { identity } = await certificatesFor(t, ['127.0.0.1']);
  const { authority } = await certificatesFor(t, ['127.0.0.1']);
  await assert.rejects(dialOnce(t, identity, authority), failsWith('DST_E_CERT_AUTHORITY'));
});

for (const host of ['127.0.0.1', 'localhost']) {
  test(`an authority below another is enough by itself, and others of its root are not: ${host}`, async (t) => {
    const dates = {
      notBefore: new Date(Date.now() - HOUR_MS),
      notAfter: new Date(Date.now() + HOUR_MS),
    };
    const root = await makeAuthority({ subject: 'CN=root', ...dates });
    const middle = await makeAuthority({ subject: 'CN=middle', issuer: root, ...dates });
    const sibling = await makeAuthority({ subject: 'CN=sibling', issuer: root, ...dates });
    const path = 'middle.pem';
    const trust = { kind: 'authorities', path, certificates: [middle.certificate] } as const;
    for (const issuer of [middle, sibling]) {
      const server = await makeServer(issuer, dates);
      const identity = {
        certificate: server.certificate,
        certificatePem: Buffer.from(certificatePem(server, issuer)),
        keyPem: Buffer.from(keyPem(server)),
      };
      const dialling = dialOnce(t, identity, trust, { host });
      if (issuer === middle) await dialling;
      else await assert.rejects(dialling, failsWith('DST_E_CERT_AUTHORITY'));
    }
  });
}

test('the pinned certificate is accepted, whatever names it has', async (t) => {
  const { identity, pin } = await certificatesFor(t, ['elsewhere.example']);
  await dialOnce(t, identity, pin);
});

test('another certificate than the pinned one is refused', async (t) => {
  const { identity } = await certificatesFor(t, ['127.0.0.1']);
  const { pin } = await certificatesFor(t, ['127.0.0.1']);
  await assert.rejects(dialOnce(t, identity, pin), failsWith('DST_E_CERT_PIN'));
});

for (const host of ['127.0.0.1', 'localhost']) {
  test(`an expired certificate is refused: ${host}`, async (t) => {
    const dates = { notBefore: new Date(Date.now() - 48 * HOUR_MS) };
    const notAfter = new Date(Date.now() - 24 * HOUR_MS);
    const authority = await makeAuthority({
      ...dates,
      notAfter: new Date(Date.now() + HOUR_MS),
    });
    const server = await makeServer(authority, { ...dates, notAfter });
    const identity: Identity = {
      certificatePem: Buffer.from(certificatePem(server)),
      keyPem: Buffer.from(keyPem(server)),
      certificate: server.certificate,
    };
    const trust: ServerTrust = {
      kind: 'authorities',
      path: 'ca.pem',
      certificates: [authority.certificate],
    };
    await assert.rejects(dialOnce(t, identity, trust, { host }), failsWith('DST_E_CERT_EXPIRED'));
  });
}

test('a host name is resolved, its addresses tried in turn, and the name verified', async (t) => {
  const { identity, authority } = await certificatesFor(t, ['localhost']);
  const connection = await dialOnce(t, identity, authority, { host: 'localhost' });
  assert.equal(connection.peer.address, '127.0.0.1');
});

test('a host name that the certificate does not have is refused', async (t) => {
  const { identity, authority } = await certificatesFor(t, ['elsewhere.example']);
  await assert.rejects(
    dialOnce(t, identity, authority, { host: 'localhost' }),
    failsWith('DST_E_CERT_NAME'),
  );
});

test('a host name with a certificate of another authority is refused', async (t) => {
  const { identity } = await certificatesFor(t, ['localhost']);
  const { authority } = await certificatesFor(t, ['localhost']);
  await assert.rejects(
    dialOnce(t, identity, authority, { host: 'localhost' }),
    failsWith('DST_E_CERT_AUTHORITY'),
  );
});

test('a name that does not resolve is told as such', async (t) => {
  const { authority } = await certificatesFor(t, ['localhost']);
  await assert.rejects(
    dialQuic({ host: 'nowhere.invalid', port: 4433, trust: authority }),
    failsWith('DST_E_RESOLVE'),
  );
});

test('a port on which nothing listens is told at once', async (t) => {
  const { authority } = await certificatesFor(t, ['127.0.0.1']);
  const port = await closedPort();
  const startMs = performance.now();
  await assert.rejects(
    dialQuic({ host: '127.0.0.1', port, trust: authority, timeoutMs: 60_000 }),
    failsWith('DST_E_REFUSED'),
  );
  assert.ok(performance.now() - startMs < 30_000);
});

test('a port that never answers is given up after the time that was set', async (t) => {
  const { authority } = await certificatesFor(t, ['127.0.0.1']);
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const startMs = performance.now();
  await assert.rejects(
    dialQuic({
      host: '127.0.0.1',
      port: socket.address().port,
      trust: authority,
      timeoutMs: 300,
    }),
    failsWith('DST_E_UNREACHABLE'),
  );
  const elapsedMs = performance.now() - startMs;
  assert.ok(elapsedMs >= 290 && elapsedMs < 30_000, `${elapsedMs} ms`);
});

test('an export that ends the connection at once rejects or closes, and never hangs', async (t) => {
  const { identity, authority } = await certificatesFor(t, ['127.0.0.1']);
  const listener = await quicListener(t, identity);
  listener.onConnection((connection) => connection.close('too many connections'));
  const { port } = listener.address;
  for (let i = 0; i < 5; i++) {
    try {
      const connection = await soon(
        dialQuic({ host: '127.0.0.1', port, trust: authority }),
        'the dial',
      );
      await soon(new Promise((resolve) => connection.onClose(resolve)), 'the close');
    } catch (error) {
      assert.match(String((error as { code?: string }).code), /^DST_E_/);
    }
  }
});

test('a dial that was refused keeps no process alive', async (t) => {
  const { authority } = await certificatesFor(t, ['127.0.0.1']);
  const port = await closedPort();
  const dialUrl = new URL('../../src/transport/quic/dial.js', import.meta.url).href;
  const trustUrl = new URL('../../src/trust/server-trust.js', import.meta.url).href;
  const script = `
    import { dialQuic } from ${JSON.stringify(dialUrl)};
    import { loadServerTrust } from ${JSON.stringify(trustUrl)};
    const trust = loadServerTrust(${JSON.stringify(authority.path)});
    await dialQuic({ host: '127.0.0.1', port: ${port}, trust, timeoutMs: 60_000 }).catch(
      (error) => console.log(error.code),
    );`;
  assert.equal(await runModule(t, script), 'DST_E_REFUSED');
});

test('random datagrams at the export’s port disturb nobody', async (t) => {
  const { identity, authority } = await certificatesFor(t, ['127.0.0.1']);
  const listener = await quicListener(t, identity);
  listener.onConnection((connection) => {
    connection.onStream((stream) => stream.onData((chunk) => stream.write([chunk])));
  });
  const { port } = listener.address;
  const connection = await dialQuic({ host: '127.0.0.1', port, trust: authority });
  t.after(() => connection.close('the test is over'));
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  const stream = connection.openStream();
  let echoedBytes = 0;
  stream.onData((chunk) => {
    echoedBytes += chunk.length;
  });
  for (let i = 0; i < 500; i++) {
    const garbage = Buffer.alloc(1 + ((i * 37) % 1400), i);
    // Long and short headers, known and unknown versions among them.
    garbage[0] = i & 0xff;
    socket.send(garbage, port, '127.0.0.1');
    if (i % 10 === 0) stream.write([Buffer.alloc(1000, i)]);
  }
  await until(() => echoedBytes === 50 * 1000, 'the echo');
  const another = await dialQuic({ host: '127.0.0.1', port, trust: authority });
  another.close('seen');
});
