/** How replies that are ready at the same time are handed to the transport. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { payloadOf } from '../../src/block/payload.js';
import type { Answer } from '../../src/export/executor.js';
import { type RequestHost, RequestStream } from '../../src/export/request-stream.js';
import { REPLIES_TOGETHER_BYTES_MAX } from '../../src/limits.js';
import { encodeRequest } from '../../src/protocol/encode.js';
import { NO_CHECKSUM } from '../../src/protocol/frame.js';
import { KIND } from '../../src/protocol/kinds.js';
import type { Stream } from '../../src/transport/transport.js';
import { loadChecksum } from '../../wasm/checksums.js';

const checksum = await loadChecksum('none');

/** A stream on which so many reads of a size come at once, and what is written to it. */
async function answered(count: number, lengthBytes: number) {
  const writes: { bytes: number; taken: () => void }[] = [];
  let takenBytes = 0;
  let onData: (chunk: Buffer) => void = () => {};
  const stream: Stream = {
    id: 4,
    queuedBytes: 0,
    onData: (handler) => {
      onData = handler;
    },
    write: (pieces, taken = () => {}) => {
      writes.push({ bytes: Buffer.concat(pieces as Buffer[]).length, taken });
    },
  };
  const answer: Answer = {
    kind: KIND.data,
    errno: 0,
    checksum: NO_CHECKSUM,
    payload: payloadOf([Buffer.alloc(lengthBytes)]),
  };
  const host: RequestHost = {
    checksum,
    payloadBytesMax: 1 << 20,
    reserve() {},
    answered() {},
    taken: (bytes) => {
      takenBytes += bytes;
    },
    damaged() {},
    endOfTurn: setImmediate,
    run: () => Promise.resolve(answer),
    breach: (error) => assert.fail(error),
  };
  new RequestStream(stream, host);
  const requests = Array.from({ length: count }, (_, at) =>
    encodeRequest({
      kind: KIND.read,
      transaction: at + 1,
      flags: 0,
      retired: 1,
      offset: 0,
      lengthBytes,
      checksum: NO_CHECKSUM,
      payload: [],
    }),
  );
  onData(Buffer.concat(requests.flat()));
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  return { writes, takenBytes: () => takenBytes };
}

test('small replies of one turn are written together', async () => {
  const { writes } = await answered(10, 4096);
  assert.equal(writes.length, 1);
});

test('none waits to be taken for one that the transport takes later', async () => {
  const lengthBytes = REPLIES_TOGETHER_BYTES_MAX / 4;
  const { writes, takenBytes } = await answered(4, lengthBytes);
  assert.equal(writes.length, 2);
  for (const { bytes } of writes) assert.ok(bytes <= REPLIES_TOGETHER_BYTES_MAX);
  writes[0]?.taken();
  assert.equal(takenBytes(), 3 * lengthBytes);
});

test('a reply that is larger than that is written alone', async () => {
  const { writes } = await answered(2, 2 * REPLIES_TOGETHER_BYTES_MAX);
  assert.equal(writes.length, 2);
});
