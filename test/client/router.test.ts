import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DIAL_ATTEMPT_TIMEOUT_MS,
  QUIC_PROBED_KEEP_MS,
  QUIC_RETRY_MS,
  QUIC_TRY_MS,
  TRANSPORT_HEAD_START_MS,
} from '../../src/limits.js';
import type { Connection } from '../../src/transport/transport.js';
import { ends, pass } from '../support/virtual-time.js';
import { FakeConnection } from './fake-transport.js';

import { RouterWorld, SWIFT_MS } from './router-world.js';

// ---- The first connection ------------------------------------------------------------

test('QUIC that answers soon is used, and nothing else is tried', async () => {
  const world = new RouterWorld();
  await world.connect();
  assert.equal(world.route, 'quic');
  assert.equal(world.router.current?.reason, 'preferred');
  assert.equal(world.webtransport.requests.length, 0);
});

test('QUIC is used on a line with a long delay, though WebTransport is ready first', async () => {
  const world = new RouterWorld({ quic: 1_800, webtransport: 400 });
  const { connection, tookMs } = await world.connect();
  assert.equal(connection.transport, 'quic');
  assert.equal(tookMs, 1_800);
  assert.equal(world.webtransport.connections[0]?.closed, true);
});

test('where UDP is dropped, WebTransport is in use when the time of QUIC is over', async () => {
  const world = new RouterWorld({ quic: 'none' });
  const { connection, tookMs } = await world.connect();
  assert.equal(connection.transport, 'webtransport');
  assert.equal(tookMs, QUIC_TRY_MS);
  assert.equal(world.route, 'webtransport over HTTP/2 (QUIC did not answer within 2 s)');
  assert.equal(world.router.current?.reason, 'quic-silent');
  assert.equal(world.quic.requests[0]?.signal.aborted, true, 'and QUIC is called off');
});

test('WebTransport starts a little after QUIC, and has the time that is left', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.connect(5_000);
  assert.deepEqual(world.webtransport.dialledMs, [TRANSPORT_HEAD_START_MS]);
  assert.equal(world.webtransport.requests[0]?.timeoutMs, 5_000 - TRANSPORT_HEAD_START_MS);
});

test('QUIC may still answer after its time, while WebTransport is not ready', async () => {
  const world = new RouterWorld({ quic: 4_000, webtransport: 6_000 });
  const { connection, tookMs } = await world.connect();
  assert.equal(connection.transport, 'quic');
  assert.equal(tookMs, 4_000);
});

test('a UDP port on which nothing listens is left for WebTransport at once', async () => {
  const world = new RouterWorld({ quic: { code: 'DST_E_REFUSED', afterMs: 5 } });
  const { tookMs } = await world.connect();
  assert.equal(tookMs, 5 + SWIFT_MS);
  assert.equal(world.route, 'webtransport over HTTP/2 (nothing listens on its UDP port)');
  assert.equal(world.router.current?.reason, 'quic-refused');
});

test('QUIC that fails while WebTransport is held back lets it go', async () => {
  const world = new RouterWorld({ quic: { code: 'DST_E_HANDSHAKE', afterMs: 700 } });
  const { tookMs } = await world.connect();
  assert.equal(tookMs, 700);
  assert.equal(world.route, 'webtransport over HTTP/2 (QUIC failed with DST_E_HANDSHAKE)');
});

test('a WebTransport connection that ends while it is held back is not used', async () => {
  const world = new RouterWorld({ quic: 3_000 });
  const { signal } = new AbortController();
  const dialling = world.router.dial({ timeoutMs: 5_000, signal, attempt: 0 });
  await pass(world.clock, 1_000);
  world.webtransport.connections[0]?.close('the export went away');
  const connection = await ends(world.clock, dialling, 'the connection');
  assert.equal(connection.transport, 'quic');
});

for (const code of ['DST_E_CERT_PIN', 'DST_E_CERT_NAME', 'DST_E_RESOLVE'] as const) {
  test(`${code} over QUIC is final`, async () => {
    const world = new RouterWorld({ quic: { code, afterMs: 5 } });
    assert.equal((await world.fails()).code, code);
    assert.equal(world.webtransport.requests.length, 0);
  });
}

test('a certificate that is wrong over WebTransport alone does not stop QUIC', async () => {
  const world = new RouterWorld({ quic: 1_000, webtransport: { code: 'DST_E_CERT_AUTHORITY' } });
  assert.equal((await world.connect()).connection.transport, 'quic');
});

for (const silentBefore of [false, true]) {
  const order = silentBefore ? 'first' : 'second';
  test(`a certificate that is wrong over WebTransport alone may pass (${order})`, async () => {
    const world = new RouterWorld({
      silentBefore,
      quic: 'none',
      webtransport: { code: 'DST_E_CERT_AUTHORITY' },
    });
    const { code, message } = await world.fails();
    assert.equal(code, 'DST_E_UNREACHABLE', 'one that --wait waits out');
    assert.match(message, /QUIC: .*DST_E_UNREACHABLE; WebTransport: .*DST_E_CERT_AUTHORITY/);
  });
}

test('a certificate that is wrong over QUIC is told, also where that goes second', async () => {
  const world = new RouterWorld({
    silentBefore: true,
    quic: { code: 'DST_E_CERT_PIN' },
    webtransport: { code: 'DST_E_REFUSED' },
  });
  assert.equal((await world.fails()).code, 'DST_E_CERT_PIN');
});

test('QUIC that is given up as silent is that, and is remembered', async () => {
  const world = new RouterWorld({
    quic: { code: 'DST_E_UNREACHABLE', afterMs: 5_000 },
    webtransport: 6_000,
  });
  await world.connect();
  assert.equal(world.router.current?.reason, 'quic-silent');
  assert.equal(world.silent, true);
});

test('a machine without a way over UDP is not told that QUIC was silent', async () => {
  const world = new RouterWorld({ quic: { code: 'DST_E_UNREACHABLE', afterMs: 5 } });
  await world.connect();
  assert.equal(world.router.current?.reason, 'quic-failed');
  assert.equal(world.silent, undefined);
});

test('nor where WebTransport goes first: a network may answer in the place of an export', async () => {
  const world = new RouterWorld({
    silentBefore: true,
    webtransport: { code: 'DST_E_CERT_AUTHORITY' },
  });
  assert.equal((await world.connect()).connection.transport, 'quic');
});

test('when nothing works, the error names both attempts', async () => {
  const world = new RouterWorld({ quic: 'none', webtransport: { code: 'DST_E_REFUSED' } });
  const { code, message } = await world.fails();
  assert.equal(code, 'DST_E_UNREACHABLE');
  assert.equal(
    message,
    'storage.example:4433 was reached neither over QUIC nor over WebTransport; QUIC: quic: DST_E_UNREACHABLE; WebTransport: webtransport: DST_E_REFUSED',
  );
});

test('when nothing listens at all, that is what the code says', async () => {
  const refused = { code: 'DST_E_REFUSED' } as const;
  const world = new RouterWorld({ quic: refused, webtransport: refused });
  assert.equal((await world.fails()).code, 'DST_E_REFUSED');
});

test('an attempt that is called off calls both transports off', async () => {
  const world = new RouterWorld({ quic: 'none', webtransport: 'none' });
  const calling = new AbortController();
  const dialling = world.router.dial({ timeoutMs: 5_000, signal: calling.signal, attempt: 0 });
  const rejected = assert.rejects(dialling, { code: 'DST_E_ABORTED' });
  await pass(world.clock, 1_000);
  calling.abort();
  await rejected;
  for (const { requests } of [world.quic, world.webtransport]) {
    assert.equal(requests[0]?.signal.aborted, true);
  }
});

// ---- Addresses with a scheme ---------------------------------------------------------

test('quic:// never tries anything else', async () => {
  const world = new RouterWorld({ scheme: 'quic' });
  await world.connect();
  assert.equal(world.route, 'quic (asked for)');
  assert.equal(world.router.fellBack, false);
  world.quic.answer = 'none';
  assert.equal((await world.fails()).code, 'DST_E_UNREACHABLE');
  assert.equal(world.webtransport.requests.length, 0);
});

test('https:// never tries anything else, and has not fallen back', async () => {
  const world = new RouterWorld({ scheme: 'https' });
  await world.connect();
  assert.equal(world.route, 'webtransport over HTTP/2 (asked for)');
  assert.equal(world.router.fellBack, false);
  assert.equal(world.quic.requests.length, 0);
  assert.equal(world.silent, undefined);
});

// ---- What is remembered --------------------------------------------------------------

test('that QUIC got no answer is remembered, once the export has answered otherwise', async () => {
  const world = new RouterWorld({ quic: 'none' });
  const { connection } = await world.dial();
  assert.equal(world.silent, undefined);
  await world.router.heard(connection, 'welcomed');
  assert.equal(world.silent, true);
});

test('a session that stays on WebTransport does not make the memory younger', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.connect();
  world.silent = undefined;
  await world.connect(DIAL_ATTEMPT_TIMEOUT_MS);
  assert.equal(world.silent, undefined);
});

test('a UDP port that refuses is not remembered: it costs no time', async () => {
  const world = new RouterWorld({ quic: { code: 'DST_E_REFUSED' } });
  await world.connect();
  assert.equal(world.silent, undefined);
});

test('where QUIC was silent before, WebTransport goes first, and nobody waits', async () => {
  const world = new RouterWorld({ silentBefore: true });
  const { tookMs } = await world.connect();
  assert.equal(tookMs, SWIFT_MS);
  assert.equal(world.route, 'webtransport over HTTP/2 (QUIC did not answer lately)');
  assert.equal(world.router.current?.reason, 'remembered');
  assert.equal(world.router.fellBack, true);
  assert.equal(world.quic.requests.length, 0);
});

test('where QUIC was silent before and now is what works, that is remembered', async () => {
  const world = new RouterWorld({ silentBefore: true, webtransport: { code: 'DST_E_REFUSED' } });
  const { connection } = await world.connect();
  assert.equal(world.route, 'quic');
  assert.equal(world.silent, undefined, 'WELCOME may be all that comes through');
  await world.router.heard(connection, 'used');
  assert.equal(world.silent, false);
});

// ---- Dialling again ------------------------------------------------------------------

test('a session that fell back dials WebTransport first, for the reason that it had', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.connect();
  const { tookMs } = await world.connect(DIAL_ATTEMPT_TIMEOUT_MS);
  assert.equal(tookMs, SWIFT_MS);
  assert.equal(world.route, 'webtransport over HTTP/2 (QUIC did not answer within 2 s)');
});

test('where UDP begins to be dropped, a hasty attempt ends on WebTransport', async () => {
  const world = new RouterWorld();
  await world.connect();
  world.quic.answer = 'none';
  const { connection, tookMs } = await world.connect(DIAL_ATTEMPT_TIMEOUT_MS);
  assert.equal(connection.transport, 'webtransport');
  assert.ok(tookMs < DIAL_ATTEMPT_TIMEOUT_MS, `${tookMs} ms`);
  assert.equal(world.route, 'webtransport over HTTP/2 (QUIC did not answer within 1 s)');
});

test('where TCP begins to be blocked, a session on WebTransport ends on QUIC', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.connect();
  world.quic.answer = SWIFT_MS;
  world.webtransport.answer = 'none';
  const { connection, tookMs } = await world.connect(DIAL_ATTEMPT_TIMEOUT_MS);
  assert.equal(connection.transport, 'quic');
  assert.equal(tookMs, TRANSPORT_HEAD_START_MS + SWIFT_MS);
  assert.equal(world.router.fellBack, false);
});

test('after an outage, a WebTransport connection waits for the next attempt at QUIC', async () => {
  const world = new RouterWorld();
  await world.connect();
  // The network is back 1.5 s after this attempt began, too late for its packets over UDP.
  world.quic.answer = 'none';
  world.webtransport.answer = 1_200;
  const { signal } = new AbortController();
  let older: Connection | undefined;
  void world.router
    .dial({ timeoutMs: DIAL_ATTEMPT_TIMEOUT_MS, signal, attempt: 1 })
    .then((connection) => {
      older = connection;
    });
  await pass(world.clock, TRANSPORT_HEAD_START_MS + 1_200 + QUIC_RETRY_MS - 100);
  assert.equal(world.webtransport.connections.length, 1, 'it is ready');
  assert.equal(older, undefined, 'and held back');
  world.quic.answer = SWIFT_MS;
  assert.equal((await world.connect(DIAL_ATTEMPT_TIMEOUT_MS)).connection.transport, 'quic');
});

test('after an outage it waits also where QUIC was refused: the export may be starting', async () => {
  const world = new RouterWorld();
  await world.connect();
  world.quic.answer = { code: 'DST_E_REFUSED' };
  const { tookMs } = await world.connect(DIAL_ATTEMPT_TIMEOUT_MS);
  assert.equal(tookMs, SWIFT_MS + QUIC_RETRY_MS);
});

test('on another network QUIC goes first again', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.connect();
  world.quic.answer = SWIFT_MS;
  world.router.startAfresh();
  assert.equal((await world.connect(DIAL_ATTEMPT_TIMEOUT_MS)).connection.transport, 'quic');
});

// ---- Connections that probes made ----------------------------------------------------

test('a connection that a probe made is the next that is used', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.connect();
  const probed = new FakeConnection('quic');
  world.router.offer(probed);
  const { connection } = await world.use();
  assert.equal(connection, probed);
  assert.equal(world.route, 'quic');
  assert.equal(world.router.fellBack, false);
  assert.equal(world.silent, false);
  await pass(world.clock, 2 * QUIC_PROBED_KEEP_MS);
  assert.equal(probed.closed, false);
});

test('one that nobody uses is closed, and one that has ended is not used', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.connect();
  const unused = new FakeConnection('quic');
  world.router.offer(unused);
  await pass(world.clock, QUIC_PROBED_KEEP_MS);
  assert.equal(unused.closed, true);
  const ended = new FakeConnection('quic');
  world.router.offer(ended);
  ended.close('the export went away');
  assert.notEqual((await world.dial()).connection, ended);
});

test('a newer one takes the place of an older one; none outlives the session', async () => {
  const world = new RouterWorld({ quic: 'none' });
  const [older, newer] = [new FakeConnection('quic'), new FakeConnection('quic')];
  world.router.offer(older);
  world.router.offer(newer);
  assert.deepEqual([older.closed, newer.closed], [true, false]);
  world.router.withdraw();
  assert.equal(newer.closed, true);
});

// ---- Lanes ---------------------------------------------------------------------------

test('a connection that is to be like another takes its transport, and no other is tried', async () => {
  for (const transport of ['quic', 'webtransport'] as const) {
    const world = new RouterWorld({ quic: transport === 'quic' ? SWIFT_MS : 'none' });
    const { connection: like } = await world.connect();
    assert.equal(like.transport, transport);
    const before = [world.quic.requests.length, world.webtransport.requests.length];
    const { signal } = new AbortController();
    const dialling = world.router.dial({ timeoutMs: 1_000, signal, attempt: 0, like });
    assert.equal((await ends(world.clock, dialling, 'the lane')).transport, transport);
    const [quic = 0, webtransport = 0] = before;
    const more = [
      world.quic.requests.length - quic,
      world.webtransport.requests.length - webtransport,
    ];
    assert.deepEqual(more, transport === 'quic' ? [1, 0] : [0, 1]);
  }
});
