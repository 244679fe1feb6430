import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { joinPayload } from '../../src/block/payload.js';
import { DstError } from '../../src/errors.js';
import { ExportSession, type SessionRules } from '../../src/export/session.js';
import { NO_CHECKSUM, NO_PIECES, type RequestFrame } from '../../src/protocol/frame.js';
import { decodeMap } from '../../src/protocol/header.js';
import { KIND } from '../../src/protocol/kinds.js';
import { ERRNO_DAMAGED, errnoValue, readFailure } from '../../src/protocol/messages.js';
import { loadChecksum } from '../../wasm/checksums.js';
import { FaultyDevice } from '../support/faulty-device.js';

const none = await loadChecksum('none');

function newSession(options: { readOnly?: boolean; rules?: SessionRules } = {}) {
  const device = new FaultyDevice(new MemoryDevice(1024 * 1024));
  const session = new ExportSession(
    { name: 'vol', device },
    options.readOnly ?? false,
    options.rules,
  );
  return { device, session };
}

function request(changes: Partial<RequestFrame>): RequestFrame {
  return {
    kind: KIND.write,
    transaction: 1,
    flags: 0,
    retired: 1,
    offset: 0,
    lengthBytes: 0,
    checksum: NO_CHECKSUM,
    payload: NO_PIECES,
    ...changes,
  };
}

function write(transaction: number, text: string, retired = 1): RequestFrame {
  const payload = [Buffer.from(text)];
  return request({ transaction, retired, lengthBytes: text.length, payload });
}

const withCode = (code: string) => (error: unknown) =>
  error instanceof DstError && error.code === code;

async function contentOf(device: FaultyDevice, lengthBytes: number): Promise<string> {
  return joinPayload(await device.read(0, lengthBytes)).toString();
}

test('a new epoch waits for the old one’s commands before it may be welcomed', async () => {
  const { device, session } = newSession();
  await session.advance(1);
  const hold = device.hold(({ name }) => name === 'write');
  const running = session.run(1, write(1, 'old'), none);
  await hold.arrived;
  let advanced = false;
  const advance = session.advance(2).then(() => {
    advanced = true;
  });
  await new Promise(setImmediate);
  assert.equal(advanced, false);
  hold.release();
  assert.equal((await running).errno, 0);
  await advance;
  assert.equal(await contentOf(device, 3), 'old');
});

test('a fenced epoch’s commands are refused from the call on, reads too', async () => {
  const { device, session } = newSession();
  await session.advance(1);
  const hold = device.hold(({ name }) => name === 'write');
  const running = session.run(1, write(1, 'old'), none);
  await hold.arrived;
  const advance = session.advance(2);
  await assert.rejects(session.run(1, write(2, 'late'), none), withCode('DST_E_FENCED'));
  await assert.rejects(
    session.run(1, request({ kind: KIND.read, lengthBytes: 1 }), none),
    withCode('DST_E_FENCED'),
  );
  hold.release();
  await Promise.all([running, advance]);
  assert.equal(device.commands.length, 1);
});

test('all who wait for the same commands share one promise, and later commands get another', async () => {
  const { device, session } = newSession();
  await session.advance(1);
  const first = device.hold(({ offset }) => offset === 0);
  const slow = session.run(1, write(1, 'old'), none);
  await first.arrived;
  const fence = session.advance(2);
  for (let epoch = 3; epoch < 10; epoch++) assert.equal(session.advance(epoch), fence);
  first.release();
  await Promise.all([slow, fence]);

  const second = device.hold(({ offset }) => offset === 512);
  const slower = session.run(9, { ...write(2, 'new'), offset: 512 }, none);
  await second.arrived;
  let ended = false;
  const end = session.end().then(() => {
    ended = true;
  });
  await new Promise(setImmediate);
  assert.equal(ended, false);
  second.release();
  await Promise.all([slower, end]);
});

test('an epoch that is not higher is refused, and changes nothing', async () => {
  const { session } = newSession();
  await session.advance(5);
  assert.throws(() => session.advance(5), withCode('DST_E_EPOCH'));
  assert.throws(() => session.advance(4), withCode('DST_E_EPOCH'));
  assert.equal(session.epoch, 5);
  assert.equal((await session.run(5, write(1, 'x'), none)).errno, 0);
});

test('a write resent on the next connection is answered, not carried out again', async () => {
  const { device, session } = newSession();
  await session.advance(1);
  await session.run(1, write(1, 'one'), none);
  await session.run(1, write(2, 'two'), none);
  await session.advance(2);
  const answer = await session.run(2, write(1, 'one'), none);
  assert.equal(answer.errno, 0);
  assert.equal(device.commands.length, 2);
  assert.equal(await contentOf(device, 3), 'two');
});

test('a write that failed is answered with the same failure when it is resent', async () => {
  const { device, session } = newSession();
  await session.advance(1);
  device.failWhen(() => new DstError('DST_E_FULL', 'the disk is full', { errno: 'ENOSPC' }));
  const first = await session.run(1, write(1, 'one'), none);
  device.failWhen(() => undefined);
  const second = await session.run(1, write(1, 'one'), none);
  assert.equal(first.errno, errnoValue('ENOSPC'));
  assert.equal(second.errno, errnoValue('ENOSPC'));
  assert.equal(device.commands.length, 1);
});

test('a damaged write is not carried out, and its next copy is', async () => {
  const blake3 = await loadChecksum('blake3');
  const { device, session } = newSession();
  await session.advance(1);
  const good = { ...write(1, 'good'), checksum: blake3.digest([Buffer.from('good')]) };
  const damaged = { ...good, payload: [Buffer.from('gooe')] };
  assert.equal((await session.run(1, damaged, blake3)).errno, ERRNO_DAMAGED);
  assert.equal(device.commands.length, 0);
  assert.equal((await session.run(1, good, blake3)).errno, 0);
  assert.equal(await contentOf(device, 4), 'good');
});

test('a damaged copy that comes first does not spoil a good one beside it', async () => {
  const blake3 = await loadChecksum('blake3');
  const { device, session } = newSession();
  await session.advance(1);
  const good = { ...write(1, 'good'), checksum: blake3.digest([Buffer.from('good')]) };
  const damaged = { ...good, payload: [Buffer.from('gooe')] };
  const answers = await Promise.all(
    [damaged, good, damaged].map((copy) => session.run(1, copy, blake3)),
  );
  assert.deepEqual(
    answers.map(({ errno }) => errno),
    [ERRNO_DAMAGED, 0, 0],
    'the last one joins, whatever its payload',
  );
  assert.equal(device.commands.length, 1);
});

test('a copy from below the retired mark is answered, and not carried out', async () => {
  const { device, session } = newSession();
  await session.advance(1);
  await session.run(1, write(1, 'old'), none);
  await session.run(1, write(2, 'new', 2), none);
  const answer = await session.run(1, write(1, 'old'), none);
  assert.equal(answer.errno, errnoValue('EIO'));
  assert.ok(answer.payload);
  assert.equal(readFailure(decodeMap(joinPayload(answer.payload))).code, 'DST_E_RETIRED');
  assert.equal(await contentOf(device, 3), 'new');
});

test('a copy of what the client gave up while it is in progress is not carried out', async () => {
  const { device, session } = newSession();
  await session.advance(1);
  const hold = device.hold(({ name }) => name === 'write');
  const slow = session.run(1, write(1, 'old'), none);
  await hold.arrived;
  const late = session.run(1, write(2, 'new', 2), none);
  assert.equal((await session.run(1, write(1, 'old'), none)).errno, errnoValue('EIO'));
  hold.release();
  await Promise.all([slow, late]);
  assert.equal(device.commands.length, 2);
});

test('an ended session waits for its commands, and refuses every epoch', async () => {
  const { device, session } = newSession();
  await session.advance(1);
  const hold = device.hold(({ name }) => name === 'write');
  const running = session.run(1, write(1, 'old'), none);
  await hold.arrived;
  let ended = false;
  const end = session.end().then(() => {
    ended = true;
  });
  await assert.rejects(session.run(1, write(2, 'late'), none), withCode('DST_E_FENCED'));
  assert.throws(() => session.advance(Number.MAX_SAFE_INTEGER), withCode('DST_E_EPOCH'));
  assert.equal(ended, false);
  hold.release();
  await Promise.all([running, end]);
  assert.equal(device.commands.length, 1);
});

test('without the rule "fence" nobody waits, and an old epoch goes on', async () => {
  const { device, session } = newSession({ rules: { fence: false, table: true } });
  await session.advance(1);
  const hold = device.hold(({ offset }) => offset === 0);
  const running = session.run(1, write(1, 'old'), none);
  await hold.arrived;
  await session.advance(2);
  assert.equal((await session.run(1, { ...write(2, 'late'), offset: 512 }, none)).errno, 0);
  hold.release();
  await running;
});

test('without the rule "table" each copy is carried out, if it is intact', async () => {
  const blake3 = await loadChecksum('blake3');
  const { device, session } = newSession({ rules: { fence: true, table: false } });
  await session.advance(1);
  await session.run(1, write(1, 'old'), none);
  await session.run(1, write(1, 'old', 1), none);
  assert.equal(device.commands.length, 2);
  assert.equal((await session.run(1, write(1, 'odd'), blake3)).errno, ERRNO_DAMAGED);
  assert.equal(device.commands.length, 2);
});

test('a read-only session refuses what changes the store, and reads', async () => {
  const { device, session } = newSession({ readOnly: true });
  await session.advance(1);
  for (const kind of [KIND.write, KIND.trim, KIND.writeZeroes] as const) {
    const answer = await session.run(1, request({ kind, lengthBytes: 512 }), none);
    assert.equal(answer.errno, errnoValue('EPERM'));
  }
  assert.equal(device.commands.length, 0);
  const read = await session.run(1, request({ kind: KIND.read, lengthBytes: 4 }), none);
  assert.equal(read.errno, 0);
});
