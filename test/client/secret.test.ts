/** A client that has a secret, or none, and what it makes of an export that does or does not. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { type ProofContext, Secret } from '../../src/access/secret.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { Link } from '../../src/client/link.js';
import { exportInfo, listExports } from '../../src/client/queries.js';
import { FINAL_REFUSALS } from '../../src/client/refusals.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import { waitForExport } from '../../src/client/wait-for-export.js';
import type { DstError, DstErrorCode } from '../../src/errors.js';
import { ExportServer } from '../../src/export/server.js';
import { silentLog } from '../../src/log.js';
import { encodeControl } from '../../src/protocol/encode.js';
import { KIND } from '../../src/protocol/kinds.js';
import {
  challengeBody,
  NONCE_BYTES,
  readProof,
  SESSION_BYTES,
  type Welcome,
} from '../../src/protocol/messages.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import { comes, ends, pass, VirtualClock } from '../support/virtual-time.js';
import { soon, until } from '../support/wait.js';
import { FakeExport, type FakePeer } from './fake-export.js';
import { failsWith, MIB, pattern, read, write } from './support.js';

const SECRET = new Secret(Buffer.from('what export and client share'));
const OTHER = new Secret(Buffer.from('what somebody else made up'));

// ---- Against an export that does as a test says ----------------------------------------

/** A connection to a fake export on which HELLO has been said. */
async function greeted(secret: Secret | undefined) {
  const clock = new VirtualClock();
  const fake = new FakeExport(clock);
  const connection = await fake.network.dial();
  const greeting = Link.greet(
    connection,
    {
      intent: 'attach',
      exportName: 'vol',
      session: randomBytes(SESSION_BYTES),
      epoch: 1,
      checksums: ['blake3', 'crc32c'],
      readOnly: false,
      resuming: false,
      takeover: false,
      secret,
    },
    { clock, pingIntervalMs: 2_000, timeoutMs: 10_000 },
  );
  greeting.catch(() => {});
  await comes(clock, () => fake.peer(0).hello !== undefined, 'HELLO');
  return { clock, connection, greeting, peer: fake.peer(0) };
}

function challenge(peer: FakePeer): ProofContext {
  const { hello } = peer;
  assert.ok(hello !== undefined);
  const exportNonce = randomBytes(NONCE_BYTES);
  peer.write(encodeControl(KIND.challenge, 0, challengeBody({ nonce: exportNonce })));
  return {
    clientNonce: hello.nonce,
    exportNonce,
    session: hello.session,
    epoch: hello.epoch,
    exportName: hello.export,
    certificateSha256: undefined,
  };
}

/** The same, and the client's proof has come. */
async function challenged() {
  const world = await greeted(SECRET);
  const context = challenge(world.peer);
  await comes(world.clock, () => world.peer.frames.length > 0, 'PROOF');
  return { ...world, context };
}

/** The link that a WELCOME makes; its checksum is compiled in real time. */
async function linked(clock: VirtualClock, greeting: Promise<Link>): Promise<Link> {
  await pass(clock, 10);
  return soon(greeting, 'the link');
}

/** A WELCOME as an export that holds the secret sends it. */
function proven(context: ProofContext, changes: Partial<Welcome> = {}): Partial<Welcome> {
  const nonce = context.exportNonce;
  return { nonce, checksum: 'blake3', proof: SECRET.prove('export', context), ...changes };
}

test('a CHALLENGE is answered with a proof, and its WELCOME makes a link', async () => {
  const { clock, greeting, peer, context } = await challenged();
  const [frame, ...more] = peer.frames;
  assert.ok(frame !== undefined && more.length === 0);
  assert.equal(frame.kind, KIND.proof);
  assert.ok(SECRET.verify('client', context, readProof(frame.body).proof));
  peer.welcome(proven(context));
  const link = await linked(clock, greeting);
  assert.equal(link.welcome.checksum, 'blake3');
});

test('the checksum of a link with a secret is keyed, where it can be', async () => {
  const digests = new Set<string>();
  for (const changes of [{}, {}, { checksum: 'crc32c' }, { checksum: 'crc32c' }]) {
    const { clock, greeting, peer, context } = await challenged();
    peer.welcome(proven(context, changes));
    const { checksum } = await linked(clock, greeting);
    digests.add(checksum.digest([Buffer.from('data')]).toString('hex'));
  }
  assert.equal(digests.size, 3, 'a key of its own for each session, and none for CRC-32C');
});

test('a client with a secret does not go on where nobody asks for it', async () => {
  const { clock, greeting, peer, connection } = await greeted(SECRET);
  peer.welcome({ checksum: 'blake3' });
  await assert.rejects(ends(clock, greeting, 'the end'), failsWith('DST_E_SECRET_UNASKED'));
  assert.equal(connection.closed, true);
});

for (const code of FINAL_REFUSALS) {
  test(`${code} of an export that did not ask for the secret is told, but not believed`, async () => {
    const { clock, greeting, peer } = await greeted(SECRET);
    peer.refuse({ code: code as DstErrorCode, message: 'as it says' });
    await assert.rejects(ends(clock, greeting, 'the end'), (error: DstError) => {
      assert.equal(error.code, 'DST_E_SECRET_UNASKED');
      assert.match(error.message, new RegExp(`${code}: as it says`));
      return true;
    });
  });
}

test('other refusals are passed on as they are, and so is any after a CHALLENGE', async () => {
  const busy = await greeted(SECRET);
  busy.peer.refuse({ code: 'DST_E_BUSY', message: 'somebody writes' });
  await assert.rejects(ends(busy.clock, busy.greeting, 'the end'), failsWith('DST_E_BUSY'));
  const { clock, greeting, peer } = await challenged();
  peer.refuse({ code: 'DST_E_TAKEN_OVER', message: 'somebody else writes' });
  await assert.rejects(ends(clock, greeting, 'the end'), { code: 'DST_E_TAKEN_OVER' });
});

test('a client without a secret says what is needed, and proves nothing', async () => {
  const { clock, greeting, peer, connection } = await greeted(undefined);
  challenge(peer);
  await assert.rejects(ends(clock, greeting, 'the end'), failsWith('DST_E_SECRET_NEEDED'));
  await pass(clock, 10);
  assert.deepEqual(peer.frames, []);
  assert.equal(connection.closed, true);
});

const UNPROVEN: Record<string, (context: ProofContext) => Buffer | undefined> = {
  'no proof': () => undefined,
  'the proof of another secret': (context) => OTHER.prove('export', context),
  "the client's own proof": (context) => SECRET.prove('client', context),
  'a proof of an earlier connection': (context) =>
    SECRET.prove('export', { ...context, clientNonce: randomBytes(NONCE_BYTES) }),
};
for (const [what, proofOf] of Object.entries(UNPROVEN)) {
  test(`a WELCOME with ${what} is of an export that does not hold the secret`, async () => {
    const { clock, greeting, peer, connection, context } = await challenged();
    const { proof: _, ...rest } = proven(context);
    const proof = proofOf(context);
    peer.welcome(proof === undefined ? rest : { ...rest, proof });
    await assert.rejects(ends(clock, greeting, 'the end'), failsWith('DST_E_SECRET_EXPORT'));
    assert.equal(connection.closed, true);
  });
}

test('a WELCOME whose nonce is not that of its CHALLENGE is a breach', async () => {
  const { clock, greeting, peer, context } = await challenged();
  peer.welcome(proven(context, { nonce: randomBytes(NONCE_BYTES) }));
  await assert.rejects(ends(clock, greeting, 'the end'), { code: 'DST_E_PROTOCOL' });
});

test('a second CHALLENGE is a breach, and gets no second proof', async () => {
  const { clock, greeting, peer } = await challenged();
  challenge(peer);
  await assert.rejects(ends(clock, greeting, 'the end'), { code: 'DST_E_PROTOCOL' });
  assert.equal(peer.frames.length, 1);
});

test('a CHALLENGE without a nonce, and one after WELCOME, is a breach', async () => {
  const { clock, greeting, peer } = await greeted(SECRET);
  peer.write(encodeControl(KIND.challenge, 0, {}));
  await assert.rejects(ends(clock, greeting, 'the end'), { code: 'DST_E_PROTOCOL' });
  const late = await greeted(undefined);
  late.peer.welcome({ checksum: 'blake3' });
  await linked(late.clock, late.greeting);
  challenge(late.peer);
  await comes(late.clock, () => late.connection.closed, 'the end');
});

// ---- Against a real export --------------------------------------------------------------

/** An export of "vol" in memory, which can come back with another secret. */
class SecretWorld {
  readonly #network = new MemoryNetwork();
  readonly #device = new MemoryDevice(MIB);
  readonly #servers: ExportServer[] = [];
  dials = 0;
  readonly dial = () => {
    this.dials++;
    return this.#network.dial();
  };

  constructor(t: TestContext, secret: Secret | undefined) {
    this.#serve(secret);
    // One that was replaced holds the leases of its sessions still.
    t.after(() => Promise.all(this.#servers.map((server) => server.shutdown(0))));
  }

  connect(t: TestContext, secret: Secret | undefined): Promise<RemoteDevice> {
    const connecting = RemoteDevice.connect({
      dial: this.dial,
      exportName: 'vol',
      checksums: ['blake3'],
      readOnly: false,
      secret,
      log: silentLog,
    });
    t.after(async () => (await connecting.catch(() => undefined))?.close());
    return connecting;
  }

  cut(): void {
    this.#network.cut();
  }

  restart(secret: Secret | undefined): void {
    this.#serve(secret);
    this.cut();
  }

  #serve(secret: Secret | undefined): void {
    const stores = [{ name: 'vol', device: this.#device }];
    const server = new ExportServer({ stores, checksums: ['blake3'], secret, log: silentLog });
    server.attach(this.#network.listen());
    this.#servers.push(server);
  }
}

test('data goes both ways under keyed checksums, over one connection after another', async (t) => {
  const world = new SecretWorld(t, SECRET);
  const device = await world.connect(t, SECRET);
  const bytes = pattern(4096, 1);
  await write(device, 0, bytes);
  world.cut();
  assert.deepEqual(await soon(read(device, 0, 4096), 'the data'), bytes);
  assert.equal(device.session.reconnects, 1);
  assert.equal(device.session.counters.corrupt, 0);
});

test('list and info work with the secret, and tell whether checksums are keyed', async (t) => {
  const { dial } = new SecretWorld(t, SECRET);
  assert.equal((await listExports(dial, SECRET))[0]?.name, 'vol');
  assert.equal((await exportInfo(dial, 'vol', SECRET)).checksumKeyed, true);
  const open = new SecretWorld(t, undefined);
  assert.equal((await exportInfo(open.dial, 'vol')).checksumKeyed, false);
});

/** Takes any proof for right, and can't make one. */
class Impostor extends Secret {
  override verify(): boolean {
    return true;
  }
}

const MISMATCHES: [DstErrorCode, Secret | undefined, Secret | undefined][] = [
  ['DST_E_SECRET', SECRET, OTHER],
  ['DST_E_SECRET_NEEDED', SECRET, undefined],
  ['DST_E_SECRET_UNASKED', undefined, SECRET],
  ['DST_E_SECRET_EXPORT', new Impostor(Buffer.from('what somebody else made up')), SECRET],
];
for (const [code, ofExport, ofClient] of MISMATCHES) {
  test(`${code}: neither connect, nor list, nor info gets through, however long one waits`, async (t) => {
    const world = new SecretWorld(t, ofExport);
    const connect = () => world.connect(t, ofClient);
    await assert.rejects(waitForExport(connect, { log: silentLog }), failsWith(code));
    await assert.rejects(listExports(world.dial, ofClient), failsWith(code));
    await assert.rejects(exportInfo(world.dial, 'vol', ofClient), failsWith(code));
  });

  test(`${code}: a session waits while its export is so, and goes on when it is put right`, async (t) => {
    const world = new SecretWorld(t, ofClient);
    const device = await world.connect(t, ofClient);
    await write(device, 0, pattern(512, 1));
    world.restart(ofExport);
    const reading = read(device, 0, 512);
    const dialled = world.dials;
    await until(() => world.dials >= dialled + 3, 'three refusals');
    assert.equal(device.session.connected, false);
    world.restart(ofClient);
    assert.deepEqual(await soon(reading, 'the data'), pattern(512, 1));
  });
}
