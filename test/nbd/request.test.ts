import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NBD_PAYLOAD_PIECES_MAX } from '../../src/limits.js';
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
  pieces = 0;

  constructor(readonly verdict: (request: Request) => Verdict = () => 'take') {}

  judge(request: Request): Verdict {
    return this.verdict(request);
  }

  execute(request: Request, payload: readonly Buffer[]): void {
    this.pieces = payload.length;
    const data = Buffer.concat(payload as Buffer[]);
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
      const parser = new RequestParser(recorder);
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

test('a payload that came in one chunk is not copied', () => {
  const chunk = write('abc');
  let payload: readonly Buffer[] = [];
  const recorder = new Recorder();
  recorder.execute = (_request, pieces) => {
    payload = pieces;
  };
  new RequestParser(recorder).push(chunk);
  assert.equal(payload.length, 1);
  assert.equal(payload[0]?.buffer, chunk.buffer);
});

test('a request that must wait keeps its place, and what is behind it is not looked at', () => {
  let room = false;
  const recorder = new Recorder(() => (room ? 'take' : 'wait'));
  const parser = new RequestParser(recorder);
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
  const parser = new RequestParser(recorder);
  parser.push(write('abc').subarray(0, 30));
  assert.equal(parser.collecting?.lengthBytes, 3);
  assert.deepEqual(recorder.events, []);
});

test('bytes that are no request end it', () => {
  const recorder = new Recorder();
  const parser = new RequestParser(recorder);
  parser.push(Buffer.concat([Buffer.alloc(28), write('abc')]));
  parser.push(write('abc'));
  assert.deepEqual(recorder.events, ['garbage']);
});

test('a payload that comes in crumbs is joined at the bound', () => {
  const recorder = new Recorder();
  const parser = new RequestParser(recorder);
  const text = Array.from({ length: 3 * NBD_PAYLOAD_PIECES_MAX }, (_, i) => `${i % 10}`).join('');
  for (const byte of write(text)) parser.push(Buffer.from([byte]));
  assert.equal(recorder.pieces, 1);
  assert.deepEqual(recorder.events, [`1 0 ${text}`]);
});
