/** Payloads that another thread looks at, before a write and after a read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { joinPayload } from '../../src/block/payload.js';
import { DstError } from '../../src/errors.js';
import { ExportSession } from '../../src/export/session.js';
import { NO_CHECKSUM, NO_PIECES, type RequestFrame } from '../../src/protocol/frame.js';
import { decodeMap } from '../../src/protocol/header.js';
import { KIND } from '../../src/protocol/kinds.js';
import { ERRNO_DAMAGED, readFailure } from '../../src/protocol/messages.js';
import { type Checksum, loadChecksum } from '../../wasm/checksums.js';
import { FaultyDevice } from '../support/faulty-device.js';

const blake3 = await loadChecksum('blake3');

/** A checksum of which every digest comes from elsewhere, once it is let go. */
class HeldChecksum implements Checksum {
  readonly name = blake3.name;
  readonly digestBytes = blake3.digestBytes;
  readonly #letGo: (() => void)[] = [];

  digest(): Buffer {
    throw new Error('computed in place');
  }

  matches(): boolean {
    throw new Error('compared in place');
  }

  digestOffThread(pieces: readonly Buffer[]): Promise<Buffer> {
    return this.#held(blake3.digest(pieces));
  }

  matchesOffThread(pieces: readonly Buffer[], expected: Buffer): Promise<boolean> {
    return this.#held(blake3.matches(pieces, expected));
  }

  get held(): number {
    return this.#letGo.length;
  }

  letGo(): void {
    for (const each of this.#letGo.splice(0)) each();
  }

  #held<T>(value: T): Promise<T> {
    return new Promise((resolve) => this.#letGo.push(() => resolve(value)));
  }
}

async function newSession() {
  const device = new FaultyDevice(new MemoryDevice(1024 * 1024));
  const session = new ExportSession({ name: 'vol', device }, false);
  await session.advance(1);
  return { device, session, checksum: new HeldChecksum() };
}

function write(transaction: number, text: string, changes: Partial<RequestFrame> = {}) {
  const payload = [Buffer.from(text)];
  return {
    kind: KIND.write,
    transaction,
    flags: 0,
    retired: 1,
    offset: 0,
    lengthBytes: text.length,
    checksum: blake3.digest(payload),
    payload,
    ...changes,
  } satisfies RequestFrame;
}

const fenced = (error: unknown) => error instanceof DstError && error.code === 'DST_E_FENCED';

async function contentOf(device: FaultyDevice, lengthBytes: number): Promise<string> {
  return joinPayload(await device.read(0, lengthBytes)).toString();
}

test('a write is carried out once its payload was found whole, and not before', async () => {
  const { device, session, checksum } = await newSession();
  const answer = session.run(1, write(1, 'good'), checksum);
  assert.equal(device.commands.length, 0);
  checksum.letGo();
  assert.equal((await answer).errno, 0);
  assert.equal(await contentOf(device, 4), 'good');
});

test('a damaged one is not', async () => {
  const { device, session, checksum } = await newSession();
  const damaged = write(1, 'good', { payload: [Buffer.from('gooe')] });
  const answer = session.run(1, damaged, checksum);
  checksum.letGo();
  assert.equal((await answer).errno, ERRNO_DAMAGED);
  assert.equal(device.commands.length, 0);
});

test('copies that come meanwhile are carried out once, and share the answer', async () => {
  const { device, session, checksum } = await newSession();
  const copies = ['one', 'one', 'one'].map((text) => session.run(1, write(1, text), checksum));
  checksum.letGo();
  for (const { errno } of await Promise.all(copies)) assert.equal(errno, 0);
  assert.equal(device.commands.length, 1);
});

test('a damaged copy that is looked at beside a whole one does not spoil it', async () => {
  const { device, session, checksum } = await newSession();
  const damaged = session.run(1, write(1, 'good', { payload: [Buffer.from('gooe')] }), checksum);
  const whole = session.run(1, write(1, 'good'), checksum);
  checksum.letGo();
  assert.equal((await damaged).errno, ERRNO_DAMAGED);
  assert.equal((await whole).errno, 0);
  assert.equal(device.commands.length, 1);
});

test('a copy of what is in progress is not looked at', async () => {
  const { device, session, checksum } = await newSession();
  const hold = device.hold(({ name }) => name === 'write');
  const first = session.run(1, write(1, 'one'), checksum);
  checksum.letGo();
  await hold.arrived;
  const copy = session.run(1, write(1, 'one'), checksum);
  assert.equal(checksum.held, 0);
  hold.release();
  assert.deepEqual(await first, await copy);
});

test('a connection that is fenced meanwhile writes nothing, and its fence waits', async () => {
  const { device, session, checksum } = await newSession();
  const stale = session.run(1, write(1, 'stale'), checksum);
  let advanced = false;
  const advance = session.advance(2).then(() => {
    advanced = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(advanced, false);
  checksum.letGo();
  await assert.rejects(stale, fenced);
  await advance;
  assert.equal(device.commands.length, 0);
});

test('a copy whose transaction ends at the client meanwhile is not carried out', async () => {
  const { device, session, checksum } = await newSession();
  const late = session.run(1, write(1, 'late'), checksum);
  await session.run(1, write(2, '', { kind: KIND.read, retired: 2, payload: [] }), blake3);
  checksum.letGo();
  const { payload } = await late;
  assert.ok(payload);
  assert.equal(readFailure(decodeMap(joinPayload(payload))).code, 'DST_E_RETIRED');
  assert.deepEqual(
    device.commands.map(({ name }) => name),
    ['read'],
  );
});

test('whoever waits until nothing is in progress waits for payloads that are looked at', async () => {
  const { session, checksum } = await newSession();
  const answer = session.run(1, write(1, 'one'), checksum);
  assert.equal(session.inProgress, 1);
  checksum.letGo();
  await answer;
  await session.settled();
  assert.equal(session.inProgress, 0);
});

test('reads and hashes are answered with the digest that a thread made', async () => {
  const { device, session } = await newSession();
  await device.write(0, { pieces: [Buffer.from('data')], lengthBytes: 4, release() {} }, {});
  const checksum = new HeldChecksum();
  const ask = async (kind: typeof KIND.read | typeof KIND.hash) => {
    const request = { ...write(1, 'data'), kind, checksum: NO_CHECKSUM, payload: NO_PIECES };
    const answer = session.run(1, request, checksum);
    let ended = false;
    void answer.then(() => {
      ended = true;
    });
    // A hash is digested once itself, and once as the payload of its answer.
    while (!ended) {
      checksum.letGo();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return answer;
  };
  const read = await ask(KIND.read);
  assert.deepEqual(read.checksum, blake3.digest([Buffer.from('data')]));
  const hash = await ask(KIND.hash);
  assert.ok(hash.payload);
  assert.deepEqual(joinPayload(hash.payload), read.checksum);
  assert.deepEqual(hash.checksum, blake3.digest([read.checksum]));
});
