import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connector, type ConnectorOptions } from '../../src/client/connector.js';
import type { Link } from '../../src/client/link.js';
import { SessionIdentity } from '../../src/client/session-identity.js';
import type { DstErrorCode } from '../../src/errors.js';
import { LEAVE_TIMEOUT_MS, WELCOME_PATIENCE_MS } from '../../src/limits.js';
import { KIND } from '../../src/protocol/kinds.js';
import { SAMPLE_DESCRIPTION } from '../protocol/samples.js';
import { comes, ends, pass, VirtualClock } from '../support/virtual-time.js';
import { FakeExport } from './fake-export.js';
import { failsWith } from './support.js';

function newWorld(options: Partial<ConnectorOptions> = {}) {
  const clock = new VirtualClock();
  const fake = new FakeExport(clock);
  const connector = new Connector({
    dial: (request) => fake.network.dial(request),
    exportName: 'vol',
    checksums: ['none'],
    readOnly: false,
    pingIntervalMs: 2_000,
    clock,
    identity: new SessionIdentity(),
    ...options,
  });
  let attempts = 0;
  const open = (signal = new AbortController().signal): Promise<Link> => {
    const opening = connector.open({ timeoutMs: 3_000, signal, attempt: attempts++ });
    opening.catch(() => {});
    return opening;
  };
  /** HELLO has come on a connection, the first of which is 0. */
  const hello = (connection: number) =>
    comes(
      clock,
      () => fake.peers[connection]?.hello !== undefined,
      `HELLO on connection ${connection}`,
    );
  return { clock, fake, connector, open, hello };
}

test('each HELLO has the same session and a higher epoch; only the first is not resuming', async () => {
  const { clock, fake, open, hello, connector } = newWorld({ takeover: true });
  for (let number = 0; number < 3; number++) {
    const opening = open();
    await hello(number);
    fake.peer(number).welcome();
    const link = await ends(clock, opening, 'WELCOME');
    assert.equal(link.welcome.epoch, connector.epoch);
  }
  const hellos = fake.peers.map(({ hello }) => hello);
  assert.ok(hellos.every((each) => each?.session.equals(hellos[0]?.session ?? Buffer.alloc(0))));
  assert.deepEqual(
    hellos.map((each) => each?.epoch),
    [1, 2, 3],
  );
  assert.deepEqual(
    hellos.map((each) => each?.resuming),
    [false, true, true],
  );
  assert.deepEqual(
    hellos.map((each) => each?.takeover),
    [true, false, false],
    'one that was fenced itself must not fence whoever did it',
  );
});

test('once it was welcomed as a reader a session says that it only reads', async () => {
  const { clock, fake, open, hello } = newWorld();
  for (const [number, readOnly] of [false, true, false].entries()) {
    const opening = open();
    await hello(number);
    fake.peer(number).welcome({ export: { ...SAMPLE_DESCRIPTION, readOnly } });
    await ends(clock, opening, 'WELCOME');
  }
  assert.deepEqual(
    fake.peers.map(({ hello }) => hello?.readOnly),
    [false, false, true],
  );
});

test('a session that was never welcomed is not resuming, and takes over all the same', async () => {
  const { clock, fake, open, hello } = newWorld({ takeover: true });
  const refused = open();
  await hello(0);
  fake.peer(0).refuse({ code: 'DST_E_GOING_AWAY', message: 'later' });
  await assert.rejects(ends(clock, refused, 'the refusal'), failsWith('DST_E_GOING_AWAY'));
  void open();
  await hello(1);
  assert.equal(fake.peer(1).hello?.resuming, false);
  assert.equal(fake.peer(1).hello?.takeover, true);
});

test('an identity that is kept goes on with its epochs', async () => {
  const identity = new SessionIdentity();
  const first = newWorld({ identity });
  void first.open();
  await first.hello(0);
  const second = newWorld({ identity });
  void second.open();
  await second.hello(0);
  assert.equal(second.fake.peer(0).hello?.epoch, 2);
  assert.ok(second.fake.peer(0).hello?.session.equals(identity.id));
});

test('a session that another process had is resuming from its first HELLO on', async () => {
  const { record } = new SessionIdentity();
  const identity = new SessionIdentity({ resume: { ...record, epoch: 64 } });
  const { fake, open, hello } = newWorld({ identity, takeover: true });
  void open();
  await hello(0);
  assert.equal(fake.peer(0).hello?.resuming, true);
  assert.equal(fake.peer(0).hello?.takeover, false);
  assert.equal(fake.peer(0).hello?.epoch, 65);
});

test('what becomes of each connection that says HELLO is told', async () => {
  const told: string[] = [];
  const { clock, fake, open, hello } = newWorld({ heard: (_, news) => told.push(news) });
  const tell = async (number: number, answer: () => void) => {
    const opening = open();
    await hello(number);
    // Thrown away, and not told.
    if (number === 0)
      await ends(
        clock,
        open().catch(() => {}),
        'the second',
      );
    answer();
    await ends(clock, opening, 'the answer').catch(() => {});
    return told.splice(0);
  };
  const refuse = (number: number, code: DstErrorCode) => () =>
    fake.peer(number).refuse({ code, message: 'no' });
  assert.deepEqual(await tell(0, () => fake.peer(0).welcome()), ['greeted', 'welcomed']);
  assert.deepEqual(await tell(2, refuse(2, 'DST_E_BUSY')), ['greeted', 'answered']);
  assert.deepEqual(await tell(3, refuse(3, 'DST_E_ADDRESS_DENIED')), ['greeted', 'denied']);
  assert.deepEqual(await tell(4, () => fake.peer(4).connection.close('no')), ['greeted']);
});

test('one HELLO at a time: another attempt hangs up without a word', async () => {
  const { clock, fake, open, hello } = newWorld();
  const first = open();
  await hello(0);
  await assert.rejects(ends(clock, open(), 'the second'), failsWith('DST_E_ABORTED'));
  await comes(clock, () => fake.peer(1).closed, 'the hang-up');
  assert.equal(fake.peer(1).hello, undefined);
  fake.peer(0).welcome();
  await ends(clock, first, 'WELCOME');
});

test('a HELLO that goes unanswered is overtaken once patience with it has ended', async () => {
  const { clock, fake, open, hello, connector } = newWorld();
  const first = open();
  await hello(0);
  await pass(clock, WELCOME_PATIENCE_MS);
  const second = open();
  await hello(1);
  assert.equal(connector.epoch, 2);
  fake.peer(0).welcome();
  fake.peer(1).welcome();
  const late = await ends(clock, first, 'the first WELCOME');
  assert.ok(late.welcome.epoch < connector.epoch, 'who asked sees that it is outdated');
  assert.equal((await ends(clock, second, 'the second WELCOME')).welcome.epoch, connector.epoch);
});

test('a HELLO that failed makes room for the next at once', async () => {
  const { clock, fake, open, hello } = newWorld();
  const first = open();
  await hello(0);
  fake.peer(0).connection.close('no');
  await assert.rejects(ends(clock, first, 'the loss'), failsWith('DST_E_CONNECTION_LOST'));
  void open();
  await hello(1);
});

test('an attempt that is aborted before its HELLO hangs up', async () => {
  const { clock, fake, open } = newWorld();
  const controller = new AbortController();
  const opening = open(controller.signal);
  // The connection is made, and nobody has looked at it yet.
  assert.equal(fake.peers.length, 1);
  controller.abort();
  await assert.rejects(ends(clock, opening, 'the end'), failsWith('DST_E_ABORTED'));
  await comes(clock, () => fake.peer(0).closed, 'the hang-up');
  assert.equal(fake.peer(0).hello, undefined);
});

test('an attempt that is aborted after its HELLO is welcomed: it has fenced the older link', async () => {
  const { clock, fake, open, hello } = newWorld();
  const controller = new AbortController();
  const opening = open(controller.signal);
  await hello(0);
  controller.abort();
  fake.peer(0).welcome();
  await ends(clock, opening, 'WELCOME');
});

test('closing ends what waits for WELCOME', async () => {
  const { clock, fake, open, hello, connector } = newWorld();
  const opening = open();
  await hello(0);
  connector.close();
  await assert.rejects(opening, failsWith('DST_E_CONNECTION_LOST'));
  await comes(clock, () => fake.peer(0).closed, 'the hang-up');
  await assert.rejects(ends(clock, open(), 'the next'), failsWith('DST_E_ABORTED'));
});

test('patience doubles with each HELLO that was for nothing, and is short again after a WELCOME', async () => {
  const { clock, fake, open, hello, connector } = newWorld();
  open();
  await hello(0);
  await pass(clock, WELCOME_PATIENCE_MS);
  open();
  await hello(1);
  await pass(clock, WELCOME_PATIENCE_MS);
  await assert.rejects(ends(clock, open(), 'the third'), failsWith('DST_E_ABORTED'));
  await pass(clock, WELCOME_PATIENCE_MS);
  const third = open();
  await hello(3);
  fake.peer(3).welcome();
  await ends(clock, third, 'WELCOME');
  open();
  await hello(4);
  await pass(clock, WELCOME_PATIENCE_MS);
  open();
  await hello(5);
  connector.close();
});

test('leaving tells the export also where its WELCOME is still on the way', async () => {
  const { clock, fake, open, hello, connector } = newWorld();
  const opening = open();
  await hello(0);
  const leaving = connector.leave();
  fake.peer(0).welcome();
  await comes(clock, () => fake.peer(0).frames.some(({ kind }) => kind === KIND.leave), 'LEAVE');
  fake.peer(0).connection.close('left');
  await ends(clock, leaving, 'the end');
  await assert.rejects(opening, failsWith('DST_E_ABORTED'));
});

test('leaving waits no longer than its time for a WELCOME', async () => {
  const { clock, open, hello, connector } = newWorld();
  const opening = open();
  await hello(0);
  const leaving = connector.leave();
  await pass(clock, LEAVE_TIMEOUT_MS);
  await ends(clock, leaving, 'the end');
  await assert.rejects(opening, failsWith('DST_E_CONNECTION_LOST'));
});
