import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Decision } from '../../src/access/gate.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import { DstError, type DstErrorCode } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { newExport } from '../export/support.js';
import { soon, until } from '../support/wait.js';
import { pattern, read, write } from './support.js';

const MAY_WRITE: Decision = { kind: 'admitted', permission: 'rw' };
const MAY_READ: Decision = { kind: 'admitted', permission: 'ro' };
const DENIED: Decision = {
  kind: 'refused',
  failure: new DstError('DST_E_ADDRESS_DENIED', 'not from here'),
};

/** A client of an export whose gate decides as it is told, from one connection to the next. */
async function roaming(t: TestContext, first: Decision) {
  const told = { decision: first, asked: 0 };
  const decide = () => {
    told.asked++;
    return told.decision;
  };
  const { network, server } = newExport(t, {
    gate: { decide, chargeProof: () => true, refundProof() {}, mayTell: () => true },
  });
  const remote = await RemoteDevice.connect({
    dial: (request) => network.dial(request),
    exportName: 'vol',
    checksums: ['crc32c'],
    readOnly: false,
    log: silentLog,
  });
  t.after(() => remote.close());
  const roam = (decision: Decision) => {
    told.decision = decision;
    told.asked = 0;
    network.cut();
  };
  return { network, server, remote, told, roam };
}

const ELSEWHERE: readonly [where: string, decision: Decision][] = [
  ['it may only read', MAY_READ],
  ['it may not be', DENIED],
];

for (const [where, decision] of ELSEWHERE) {
  test(`a writer that roams to where ${where} waits, and goes on when it is back`, async (t) => {
    const { remote, told, roam } = await roaming(t, MAY_WRITE);
    const bytes = pattern(4096, 1);
    roam(decision);
    let failed: unknown;
    const written = write(remote, 0, bytes);
    written.catch((error) => {
      failed = error;
    });
    await until(() => told.asked >= 2, 'two attempts');
    assert.equal(failed, undefined);
    roam(MAY_WRITE);
    await soon(written, 'the write');
    assert.deepEqual(await read(remote, 0, bytes.length), bytes);
  });
}

test('a reader stays one wherever it roams', async (t) => {
  const { remote, roam } = await roaming(t, MAY_READ);
  assert.equal(remote.capabilities.readOnly, true);
  for (const decision of [MAY_WRITE, MAY_READ]) {
    roam(decision);
    await soon(read(remote, 0, 512), 'a read');
  }
});

test('a first attempt from where it may not be fails, with the export’s words', async (t) => {
  await assert.rejects(roaming(t, DENIED), (error) => {
    const expected: DstErrorCode = 'DST_E_ADDRESS_DENIED';
    return (
      error instanceof DstError && error.code === expected && /not from here/.test(error.message)
    );
  });
});
