import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openFileDevice } from '../../src/block/file-device.js';
import { KIND } from '../../src/protocol/kinds.js';
import { errnoValue } from '../../src/protocol/messages.js';
import { writeOf } from '../support/raw-client.js';
import { newExport, noting, SIZE_BYTES } from './support.js';

/** An export of a file that the test may cut or grow. */
async function newFileExport(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'dst-quic-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'store');
  const lines: { details: unknown; line: unknown }[] = [];
  const inner = await openFileDevice(path, { sizeBytes: SIZE_BYTES });
  return { ...newExport(t, { inner, log: noting(lines) }), path, lines };
}

test('a file that grew is told to whoever is attached, and to whoever comes', async (t) => {
  const { connect, server, path } = await newFileExport(t);
  const writer = await connect();
  await writer.welcome();
  const reader = await connect();
  await reader.welcome({ readOnly: true });
  truncateSync(path, 2 * SIZE_BYTES);
  await server.reread();
  for (const client of [writer, reader]) {
    assert.equal((await client.notice('resized')).sizeBytes, 2 * SIZE_BYTES);
  }
  const next = await connect(writer.session);
  const welcome = await next.welcome({ epoch: 2, resuming: true });
  assert.equal(welcome.export?.sizeBytes, 2 * SIZE_BYTES);
  const end = await next.open().run(writeOf(1, 2 * SIZE_BYTES - 1, Buffer.from('x')));
  assert.equal(end.errno, 0);
});

test('commands past the end of a file that shrank fail with the errno for that', async (t) => {
  const { connect, server, path } = await newFileExport(t);
  const client = await connect();
  await client.welcome();
  truncateSync(path, 512);
  await server.reread();
  assert.equal((await client.notice('resized')).sizeBytes, 512);
  const stream = client.open();
  const write = await stream.run(writeOf(1, 512, Buffer.from('x')));
  assert.equal(write.errno, errnoValue('ENOSPC'));
  const zeroes = { kind: KIND.writeZeroes, transaction: 2, lengthBytes: 1024 };
  assert.equal((await stream.run(zeroes)).errno, errnoValue('ENOSPC'));
  const read = await stream.run({ transaction: 3, offset: 512, lengthBytes: 512 });
  assert.equal(read.errno, errnoValue('EINVAL'));
  const trim = await stream.run({ kind: KIND.trim, transaction: 4, lengthBytes: 513 });
  assert.equal(trim.errno, errnoValue('EINVAL'));
  assert.equal((await stream.run({ transaction: 5, lengthBytes: 512 })).errno, 0);
});

test('nobody is told of a store that is as it was', async (t) => {
  const { connect, server } = await newFileExport(t);
  const client = await connect();
  await client.welcome();
  await server.reread();
  await server.shutdown(0);
  const events: string[] = [];
  for (;;) {
    const { event } = (await client.frame()).body;
    events.push(String(event));
    if (event === 'closing') break;
  }
  assert.deepEqual(events, ['going away', 'closing']);
});

test('a store whose size is none keeps the one that it had, and the log says why', async (t) => {
  const { connect, server, path, lines } = await newFileExport(t);
  truncateSync(path, 511);
  await server.reread();
  assert.deepEqual(
    lines.map(({ details }) => details),
    [{ export: 'vol', code: 'DST_E_SIZE' }],
  );
  const welcome = await (await connect()).welcome();
  assert.equal(welcome.export?.sizeBytes, SIZE_BYTES);
});
