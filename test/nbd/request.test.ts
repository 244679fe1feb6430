import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BufferPool } from '../../src/block/buffer-pool.js';
import type { Payload } from '../../src/block/payload.js';
import { NBD_RECEIVE_IN_PLACE_BYTES_MIN } from '../../src/limits.js';
import { NBD_CMD_DISC, NBD_CMD_READ, NBD_CMD_WRITE } from '../../src/nbd/constants.js';
import {
  parseRequest,
  type Request,
  type RequestHandler,
  RequestParser,
  type Verdict,
} from '../../src/nbd/request.js';
import { requestHeader } from './support.js';

/** Writes down what the parser says; `verdict` decides, `take` by default. */
class Recorder implements RequestHandler {
  readonly events: string[] = [];
  readonly payloads: Payload[] = [];

  constructor(readonly verdict: (request: Request) => Verdict = () => 'take') {}

  judge(request: Request): Verdict {
    return this.verdict(request);
  }

  execute(request: Request, payload: Payload): void {
    this.payloads.push(payload);
    const data = Buffer.concat(payload.pieces as Buffer[]);
    this.events.push(`${request.command} ${request.offset} ${data.toString('latin1')}`);
  }

  refuse(request: Request): void {
    this.events.push(`refused ${request.command} ${request.lengthBytes}`);
  }

  garbage(): void {
    this.events.push('garbage');
  }
}

function write(text: string, offset = 0): Buffer {
  const data = Buffer.from(text, 'latin1');
  return Buffer.concat([requestHeader(NBD_CMD_WRITE, { offset, lengthBytes: data.length }), data]);
}

test('a header is read field by field', () => {
  const bytes = requestHeader(3, {
    flags: 5,
    cookie: 0x1_0000_0002,
    offset: 2 ** 40 + 7,
    lengthBytes: 0xffff_ffff,
  });
  assert.deepEqual(parseRequest(Buffer.concat([Buffer.alloc(9), bytes]), 9), {
    flags: 5,
    command: 3,
    cookieHigh: 1,
    cookieLow: 2,
    offset: 2 ** 40 + 7,
    lengthBytes: 0xffff_ffff,
  });
});

test('requests do not depend on how the bytes are split', () => {
  const stream = Buffer.concat([
    requestHeader(NBD_CMD_READ, { offset: 4096, lengthBytes: 99 }),
    write('some data', 512),
    write(''),
    write('refuse me', 666),
    write('x'.repeat(100), 1024),
    requestHeader(NBD_CMD_DISC),
    Buffer.from('nobody looks at this'),
  ]);
  const verdict = (request: Request): Verdict => {
    if (request.command === NBD_CMD_DISC) return 'end';
    return request.offset === 666 ? 'discard' : 'take';
  };
  const expected = [
    '0 4096 ',
    '1 512 some data',
    '1 0 ',
    'refused 1 9',
    `1 1024 ${'x'.repeat(100)}`,
  ];
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: stream.length - 1 })), (cuts) => {
      const recorder = new Recorder(verdict);
      const parser = new RequestParser(recorder, new BufferPool());
      const edges = [0, ...[...new Set(cuts)].sort((a, b) => a - b), stream.length];
      let consumed = 0;
      edges.slice(1).forEach((end, index) => {
        consumed += parser.push(stream.subarray(edges[index], end));
      });
      assert.deepEqual(recorder.events, expected);
      assert.equal(consumed, stream.length - 'nobody looks at this'.length);
    }),
    { interruptAfterTimeLimit: 1000 },
  );
});

test('a payload is one buffer, of which nothing is in the chunks that it came in', () => {
  const pool = new BufferPool();
  const recorder = new Recorder();
  const parser = new RequestParser(recorder, pool);
  const chunk = write('abcdef');
  parser.push(chunk.subarray(0, 30));
  parser.push(chunk.subarray(30));
  chunk.fill('x');
  const [payload] = recorder.payloads;
  assert.deepEqual(payload?.pieces, [Buffer.from('abcdef')]);
  payload?.release();
  assert.equal(pool.usedBytes, 0);
});

test('much that is to come of a payload is received where it stays', () => {
  const recorder = new Recorder();
  const parser = new RequestParser(recorder, new BufferPool());
  const bytes = write('y'.repeat(NBD_RECEIVE_IN_PLACE_BYTES_MIN + 100));
  parser.push(bytes.subarray(0, 28 + 90));
  const room = parser.room;
  assert.equal(room?.length, NBD_RECEIVE_IN_PLACE_BYTES_MIN + 10);
  bytes.copy(room, 0, 28 + 90, 28 + 90 + 11);
  parser.filled(11);
  assert.equal(parser.room, undefined);
  parser.push(bytes.subarray(28 + 90 + 11));
  assert.deepEqual(recorder.events, [`1 0 ${bytes.toString('latin1', 28)}`]);
});

test('nothing that is skipped has room anywhere', () => {
  const parser = new RequestParser(new Recorder(() => 'discard'), new BufferPool());
  parser.push(write('z'.repeat(2 * NBD_RECEIVE_IN_PLACE_BYTES_MIN)).subarray(0, 28));
  assert.equal(parser.room, undefined);
});

test('a request that must wait keeps its place, and what is behind it is not looked at', () => {
  let room = false;
  const recorder = new Recorder(() => (room ? 'take' : 'wait'));
  const parser = new RequestParser(recorder, new BufferPool());
  const chunk = Buffer.concat([write('first'), write('second')]);
  const consumed = parser.push(chunk);
  assert.equal(consumed, 28);
  assert.equal(parser.waiting, true);
  assert.equal(parser.push(chunk.subarray(consumed)), 0);
  room = true;
  assert.equal(parser.push(chunk.subarray(consumed)), chunk.length - consumed);
  assert.deepEqual(recorder.events, ['1 0 first', '1 0 second']);
});

test('a write whose payload is not all there is being collected, not executed', () => {
  const recorder = new Recorder();
  const parser = new RequestParser(recorder, new BufferPool());
  parser.push(write('abc').subarray(0, 30));
  assert.equal(parser.collecting?.lengthBytes, 3);
  assert.deepEqual(recorder.events, []);
});

test('bytes that are no request end it', () => {
  const recorder = new Recorder();
  const parser = new RequestParser(recorder, new BufferPool());
  parser.push(Buffer.concat([Buffer.alloc(28), write('abc')]));
  parser.push(write('abc'));
  assert.deepEqual(recorder.events, ['garbage']);
});
