/** Who may write after the export's process has ended and another has begun. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { ClaimFile } from '../../src/export/claim-file.js';
import type { ClaimStore } from '../../src/export/store.js';
import { silentLog } from '../../src/log.js';
import { temporaryFolder } from '../block/helpers.js';
import { type RawClient, writeOf } from '../support/raw-client.js';
import { newExport, SIZE_BYTES } from './support.js';

/** Starts one export after the other on the same machine. */
function newMachine(t: TestContext) {
  const folder = temporaryFolder(t);
  const inner = new MemoryDevice(SIZE_BYTES);
  return () => {
    const claimStore = new ClaimFile({ folder, identity: 'the store', log: silentLog });
    return newExport(t, { inner, claimStore });
  };
}

async function refusal(client: RawClient, epoch: number): Promise<string> {
  client.hello({ epoch, resuming: true });
  return (await client.refusal()).code;
}

test('whom another has fenced is refused after a restart too, even if it comes first', async (t) => {
  const start = newMachine(t);
  const before = start();
  const fenced = await before.connect();
  await fenced.welcome();
  const holder = await before.connect();
  await holder.welcome({ takeover: true });
  before.network.cut();

  const after = start();
  assert.equal(await refusal(await after.connect(fenced.session), 2), 'DST_E_TAKEN_OVER');
  const back = await after.connect(holder.session);
  await back.welcome({ epoch: 2, resuming: true });
  assert.equal((await back.open().run(writeOf(1, 0, Buffer.from('mine')))).errno, 0);
});

test('after a restart anybody new may write at once, and then the one before may not', async (t) => {
  const start = newMachine(t);
  const before = start();
  const older = await before.connect();
  await older.welcome();
  before.network.cut();

  const between = start();
  const newer = await between.connect();
  await newer.welcome();
  assert.equal(await refusal(await between.connect(older.session), 2), 'DST_E_TAKEN_OVER');
  between.network.cut();

  const after = start();
  assert.equal(await refusal(await after.connect(older.session), 3), 'DST_E_TAKEN_OVER');
  await (await after.connect(newer.session)).welcome({ epoch: 2, resuming: true });
});

test('those who only read are let in after a restart, and change nothing', async (t) => {
  const start = newMachine(t);
  const before = start();
  const holder = await before.connect();
  await holder.welcome();
  before.network.cut();

  const after = start();
  await (await after.connect()).welcome({ readOnly: true, resuming: true });
  await (await after.connect(holder.session)).welcome({ epoch: 2, resuming: true });
});

/** A store of claims whose saves a test lets go on. */
function heldClaims() {
  const saved: string[] = [];
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const claimStore: ClaimStore = {
    load: () => undefined,
    save: ({ session }) => {
      saved.push(session);
      return released;
    },
  };
  return { claimStore, saved, release };
}

test('a new writer is welcomed once its claim is saved, and a reader at once', async (t) => {
  const { claimStore, saved, release } = heldClaims();
  const { connect } = newExport(t, { claimStore });
  const writer = await connect();
  let welcomed = false;
  const welcome = writer.welcome().then(() => {
    welcomed = true;
  });
  await (await connect()).welcome({ readOnly: true });
  assert.equal(welcomed, false);
  release();
  await welcome;
  assert.deepEqual(saved, [writer.session.toString('hex')]);
});

test('a claim is saved when it is made, not each time that its client is back', async (t) => {
  const { claimStore, saved, release } = heldClaims();
  release();
  const { connect } = newExport(t, { claimStore });
  const first = await connect();
  await first.welcome();
  await (await connect(first.session)).welcome({ epoch: 2, resuming: true });
  const taker = await connect();
  await taker.welcome({ takeover: true });
  assert.deepEqual(
    saved,
    [first.session, taker.session].map((session) => session.toString('hex')),
  );
});
