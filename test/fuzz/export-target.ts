/**
 * Strangers, readers and writers that send mutated frames to a real export, in virtual time,
 * beside a client that keeps every rule.
 */
import assert from 'node:assert/strict';
import { RemoteDevice } from '../../src/client/remote-device.js';
import { HELLO_TIMEOUT_MS, REFUSAL_LINGER_MS, SESSION_LEASE_MS } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { KIND } from '../../src/protocol/kinds.js';
import { loadChecksum } from '../../wasm/checksums.js';
import { pattern, read, write } from '../client/support.js';
import { Random } from '../simulation/random.js';
import { ends, pass } from '../support/virtual-time.js';
import { Attacker } from './attacker.js';
import { ADDRESS, CHECKSUM, DEVICE_BYTES, World } from './export-world.js';
import { encodeLoose, type LooseFrame, mutateBytes, mutated, splice, strange } from './mutate.js';
import { ATTACK_BYTE, hello, LEAVE, PING, proofOf, request } from './scripts.js';

const HONEST_BYTES = 16 * 1024;
const ATTACKERS_MAX = 6;
const STEPS_MAX = 12;
const FLOOD_STREAMS = 600;

/** How long a disk hangs at most, when the attacks are over. */
const HANG_MAX_MS = 20_000;

/** Ends that say no code: the peer's own wish, and a stranger that did not go on in time. */
const WORDLESS_ENDS = new Set(['no PROOF came', 'left', 'no HELLO came', 'the attacker hangs up']);

/** Timers that the honest client may have more than at the start: of its own commands. */
const TIMERS_SLACK = 3;

interface Attack {
  /** A writer's, unless it says another. */
  readonly from?: string;
  run(attacker: Attacker, random: Random, world: World): Promise<void>;
}

/** One seed: throws where the export does what it must not. */
export async function fuzzExport(seed: number): Promise<void> {
  const random = new Random(seed);
  // Compiled before virtual time begins: within it, nothing may wait for real time.
  await loadChecksum(CHECKSUM);
  const world = new World(random.fork());
  const { clock, counting, server } = world;
  const honest = await ends(clock, connectHonest(world), 'the honest client');
  const bytes = pattern(HONEST_BYTES, seed);
  await ends(clock, write(honest, 0, bytes), 'the honest write');
  const timers = counting.live;

  const attackers: Attacker[] = [];
  const attacks: Promise<void>[] = [];
  const denied = new Set<Attacker>();
  for (let count = 1 + random.below(ATTACKERS_MAX); count > 0; count--) {
    const { from = ADDRESS.writer, run } = random.pick(ATTACKS);
    const attacker = new Attacker(await world.dial(from));
    attackers.push(attacker);
    if (from === ADDRESS.denied) denied.add(attacker);
    attacks.push(run(attacker, random.fork(), world));
  }
  await ends(clock, Promise.all(attacks), 'the end of the attacks');
  assert.ok(server.connections <= attackers.length + 1);

  await pass(clock, random.below(HANG_MAX_MS));
  const meanwhile = await ends(
    clock,
    read(honest, 0, HONEST_BYTES),
    'a read beside a disk that hangs',
  );
  assert.ok(meanwhile.equals(bytes));
  world.unhang();

  await pass(clock, HELLO_TIMEOUT_MS + 2 * REFUSAL_LINGER_MS);
  for (const attacker of attackers) checkEnd(attacker, world);
  for (const { welcomed, closed } of denied) assert.ok(closed && !welcomed, 'let in by no rule');
  for (const attacker of attackers) attacker.connection.close('the attacker hangs up');
  await pass(clock, SESSION_LEASE_MS + 1_000);

  assert.equal(server.connections, 1, 'connections are left');
  assert.equal(server.sessions, 1, 'sessions are left');
  assert.ok(counting.live <= timers + TIMERS_SLACK, `${counting.live} timers are left`);
  assert.equal(Reflect.get({}, 'polluted'), undefined, 'a prototype was changed');
  await ends(clock, checkHonest(world, honest, bytes), 'the honest client');
  await checkVolume(world);
  await ends(clock, honest.close(), 'the end of the honest client');
}

function connectHonest(world: World): Promise<RemoteDevice> {
  const { clock, secret } = world;
  return RemoteDevice.connect({
    dial: () => world.dial(ADDRESS.writer),
    exportName: 'safe',
    checksums: [CHECKSUM],
    readOnly: false,
    log: silentLog,
    clock,
    random: () => 0.5,
    secret,
  });
}

/** Whoever was sent away was told why, and who has not been welcomed by now was sent away. */
function checkEnd(attacker: Attacker, { secret }: World): void {
  const { closed, welcomed, failure, closeMessage, proof } = attacker;
  assert.ok(!welcomed || secret === undefined || proof !== undefined, 'welcome without a proof');
  assert.ok(closed || welcomed, 'a stranger is still here');
  if (!closed || WORDLESS_ENDS.has(closeMessage)) return;
  assert.ok(failure !== undefined, `closed without a code: ${closeMessage}`);
  assert.match(failure.code, /^DST_E_(?!PEER$)/);
}

async function checkHonest({ safe }: World, honest: RemoteDevice, bytes: Buffer): Promise<void> {
  assert.equal(honest.session.reconnects, 0, 'the honest client lost its connection');
  const back = await read(honest, 0, HONEST_BYTES);
  assert.ok(back.equals(bytes), 'the honest client reads what it wrote');
  await write(honest, HONEST_BYTES, bytes);
  const whole = await read(safe, 0, DEVICE_BYTES);
  assert.ok(whole.subarray(0, HONEST_BYTES).equals(bytes));
  assert.ok(whole.subarray(HONEST_BYTES, 2 * HONEST_BYTES).equals(bytes));
  assert.ok(
    whole.subarray(2 * HONEST_BYTES).every((byte) => byte === 0),
    'a reader wrote',
  );
}

/** Payloads that were changed have failed their checksums. */
async function checkVolume({ volume }: World): Promise<void> {
  const whole = await read(volume, 0, DEVICE_BYTES);
  const strangeAt = whole.findIndex((byte) => byte !== 0 && byte !== ATTACK_BYTE);
  assert.equal(strangeAt, -1, `damaged bytes at ${strangeAt}`);
}

// ---- Attacks -------------------------------------------------------------------------------

/** Bytes before WELCOME. */
const asStranger: Attack['run'] = async (attacker, random, { clock }) => {
  const frame = hello(random);
  attacker.send(0, random.chance(0.1) ? noise(random) : mutated(frame, random));
  for (let step = random.below(STEPS_MAX); step > 0; step--) {
    await clock.sleep(random.below(50));
    const guess: LooseFrame = { header: [KIND.proof, 0, 0, 0], body: { proof: Buffer.alloc(32) } };
    const next = random.pick([hello(random), PING, LEAVE, frame, guess]);
    attacker.send(random.chance(0.9) ? 0 : 1, mutated(next, random));
  }
};

/** Nothing at all, or the beginning of a HELLO, byte by byte. */
const dawdling: Attack['run'] = async (attacker, random, { clock }) => {
  const bytes = encodeLoose(hello(random));
  const sent = random.below(bytes.length);
  for (let at = 0; at < sent; at++) {
    await clock.sleep(random.below(200));
    attacker.send(0, bytes.subarray(at, at + 1));
  }
};

/** One that may only read, by its own wish or by its address, on the store of the honest client. */
const asReader: Attack['run'] = (attacker, random, world) =>
  readSafe(attacker, random, world, true);
const asReaderByRule: Attack['run'] = (attacker, random, world) =>
  readSafe(attacker, random, world, random.chance(0.1));

function readSafe(attacker: Attacker, random: Random, world: World, readOnly: boolean) {
  // Of its own: a session of the same id is another attacker's, and may write elsewhere.
  const session = Buffer.alloc(16, 0x80 + random.below(3));
  const changes = { export: 'safe', readOnly, session, intent: 'attach' } as const;
  return asAdmitted(attacker, random, world, changes);
}

const asWriter: Attack['run'] = (attacker, random, world) =>
  asAdmitted(attacker, random, world, { intent: 'attach' });

async function asAdmitted(
  attacker: Attacker,
  random: Random,
  { clock, secret }: World,
  changes: Parameters<typeof hello>[1],
): Promise<void> {
  const frame = hello(random, changes);
  if (secret !== undefined) {
    attacker.proof = (exportNonce) => {
      const proof = proofOf(secret, frame, exportNonce);
      return random.chance(0.9) ? encodeLoose(proof) : mutated(proof, random);
    };
  }
  attacker.send(0, encodeLoose(frame));
  // Mostly patient: what comes before WELCOME is a stranger's.
  if (random.chance(0.9)) await clock.sleep(100);
  const checksum = await loadChecksum(CHECKSUM);
  let transaction = 1;
  let last: Buffer = Buffer.alloc(0);
  for (let step = 1 + random.below(STEPS_MAX); step > 0; step--) {
    const frame = request(random, transaction, checksum);
    let bytes = random.chance(0.5) ? encodeLoose(frame) : mutated(frame, random);
    if (random.chance(0.1)) bytes = splice(last, bytes, random);
    if (random.chance(0.8)) transaction += random.chance(0.05) ? 20_000 : 1;
    attacker.send(1 + random.below(4), bytes);
    if (random.chance(0.1)) attacker.send(0, mutated(random.pick([PING, LEAVE]), random));
    if (random.chance(0.7)) await clock.sleep(random.below(50));
    last = bytes;
  }
}

/** Many streams, each with a request or a part of one. */
const flooding: Attack['run'] = async (attacker, random, { clock, secret }) => {
  const frame = hello(random, { intent: 'attach' });
  if (secret !== undefined) {
    attacker.proof = (exportNonce) => encodeLoose(proofOf(secret, frame, exportNonce));
  }
  attacker.send(0, encodeLoose(frame));
  await clock.sleep(100);
  const checksum = await loadChecksum(CHECKSUM);
  for (let stream = 1; stream < FLOOD_STREAMS; stream++) {
    const bytes = encodeLoose(request(random, stream, checksum));
    attacker.send(stream, random.chance(0.5) ? bytes : mutateBytes(bytes, random));
  }
};

const ATTACKS: readonly [Attack, ...Attack[]] = [
  { run: asStranger },
  { run: asStranger },
  { run: asStranger },
  { run: asReader },
  { run: asReader },
  { run: asReaderByRule, from: ADDRESS.reader },
  { run: asReaderByRule, from: ADDRESS.reader },
  { run: asWriter },
  { run: asWriter },
  { run: asWriter },
  { run: asWriter, from: ADDRESS.denied },
  { run: dawdling },
  { run: flooding },
];

function noise(random: Random): Buffer {
  const what = strange(random);
  if (Buffer.isBuffer(what)) return what;
  return Buffer.from(Array.from({ length: 1 + random.below(2000) }, () => random.below(256)));
}
