import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  NBD_OPTION_BYTES_MAX,
  NBD_OPTION_SKIP_BYTES_MAX,
  NBD_OPTIONS_MAX,
} from '../../src/limits.js';
import {
  NBD_FLAG_SEND_DF,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_DESCRIPTION,
  NBD_INFO_EXPORT,
  NBD_INFO_NAME,
  NBD_OPT_ABORT,
  NBD_OPT_EXPORT_NAME,
  NBD_OPT_EXTENDED_HEADERS,
  NBD_OPT_GO,
  NBD_OPT_INFO,
  NBD_OPT_LIST,
  NBD_OPT_LIST_META_CONTEXT,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_TOO_BIG,
  NBD_REP_ERR_UNKNOWN,
  NBD_REP_ERR_UNSUP,
  NBD_REP_INFO,
  NBD_REP_META_CONTEXT,
  NBD_REP_SERVER,
} from '../../src/nbd/constants.js';
import { Negotiation, type Outcome } from '../../src/nbd/negotiation.js';
import { greeting } from '../../src/nbd/option-replies.js';
import { transmissionFlagsOf } from '../../src/nbd/session.js';
import { clientFlags, contextData, EVERYTHING, goData, option, ScriptedDevice } from './support.js';

interface Reply {
  option: number;
  type: number;
  data: Buffer;
}

function start(device = new ScriptedDevice()): Negotiation {
  return new Negotiation({ name: 'disk', description: 'a disk', device });
}

/** Sends the chunks and returns the replies to options, with the last outcome. */
function exchange(
  negotiation: Negotiation,
  ...chunks: Buffer[]
): { replies: Reply[]; types: number[]; outcome: Outcome; bytes: Buffer } {
  const bytes: Buffer[] = [];
  let outcome: Outcome = { kind: 'more' };
  for (const chunk of chunks) {
    const step = negotiation.push(chunk);
    bytes.push(...step.replies);
    outcome = step.outcome;
    if (outcome.kind !== 'more') break;
  }
  const replies = parseReplies(Buffer.concat(bytes));
  const types = replies.map((reply) => reply.type);
  return { replies, types, outcome, bytes: Buffer.concat(bytes) };
}

function parseReplies(bytes: Buffer): Reply[] {
  const replies: Reply[] = [];
  for (let at = 0; at + 20 <= bytes.length; ) {
    if (bytes.readBigUInt64BE(at) !== 0x3e889045565a9n) return [];
    const end = at + 20 + bytes.readUInt32BE(at + 16);
    replies.push({
      option: bytes.readUInt32BE(at + 8),
      type: bytes.readUInt32BE(at + 12),
      data: bytes.subarray(at + 20, end),
    });
    at = end;
  }
  return replies;
}

test('the greeting is that of fixed newstyle with NO_ZEROES', () => {
  assert.deepEqual(greeting(), Buffer.from('NBDMAGICIHAVEOPT\0\x03', 'latin1'));
});

test('unknown client flags end the connection', () => {
  assert.equal(exchange(start(), clientFlags(1 << 2)).outcome.kind, 'drop');
});

test('an option without the magic ends the connection', () => {
  const { outcome } = exchange(start(), clientFlags(3), Buffer.alloc(16, 'x'));
  assert.equal(outcome.kind, 'drop');
});

test('LIST names the one export and describes it', () => {
  const { replies } = exchange(start(), clientFlags(3), option(NBD_OPT_LIST));
  assert.deepEqual(
    replies.map((reply) => reply.type),
    [NBD_REP_SERVER, NBD_REP_ACK],
  );
  assert.equal(replies[0]?.data.toString('latin1'), '\0\0\0\x04diska disk');
});

test('GO is answered with the export and its block sizes, and ends the handshake', () => {
  const { replies, outcome } = exchange(
    start(new ScriptedDevice({ minimumBlockBytes: 512 })),
    clientFlags(3),
    option(NBD_OPT_GO, goData('disk')),
  );
  assert.deepEqual(
    replies.map((reply) => reply.type),
    [NBD_REP_INFO, NBD_REP_INFO, NBD_REP_ACK],
  );
  assert.equal(replies[0]?.data.readUInt16BE(0), NBD_INFO_EXPORT);
  assert.equal(replies[0]?.data.readBigUInt64BE(2), 64n * 1024n * 1024n);
  assert.equal(replies[1]?.data.readUInt16BE(0), NBD_INFO_BLOCK_SIZE);
  assert.deepEqual(
    [2, 6, 10].map((at) => replies[1]?.data.readUInt32BE(at)),
    [512, 4096, 32 * 1024 * 1024],
  );
  assert.equal(outcome.kind, 'ready');
});

test('the empty name is the default export', () => {
  const { outcome } = exchange(start(), clientFlags(3), option(NBD_OPT_GO, goData('')));
  assert.equal(outcome.kind, 'ready');
});

test('bytes behind GO belong to the transmission phase', () => {
  const { outcome } = exchange(
    start(),
    Buffer.concat([clientFlags(3), option(NBD_OPT_GO, goData('disk')), Buffer.from('rest')]),
  );
  assert(outcome.kind === 'ready');
  assert.equal(outcome.rest.toString(), 'rest');
});

test('INFO gives name and description when asked, and the handshake goes on', () => {
  const { replies, outcome } = exchange(
    start(),
    clientFlags(3),
    option(NBD_OPT_INFO, goData('disk', [NBD_INFO_NAME, NBD_INFO_DESCRIPTION, 999])),
  );
  const infos = replies.filter((reply) => reply.type === NBD_REP_INFO).map((reply) => reply.data);
  assert.deepEqual(
    infos.slice(2).map((data) => [data.readUInt16BE(0), data.toString('utf8', 2)]),
    [
      [NBD_INFO_NAME, 'disk'],
      [NBD_INFO_DESCRIPTION, 'a disk'],
    ],
  );
  assert.equal(outcome.kind, 'more');
});

test('an unknown name is told which export there is', () => {
  const { replies, outcome } = exchange(
    start(),
    clientFlags(3),
    option(NBD_OPT_GO, goData('tape')),
  );
  assert.equal(replies[0]?.type, NBD_REP_ERR_UNKNOWN);
  assert.equal(replies[0]?.data.toString(), 'there is no export "tape" here, only "disk"');
  assert.equal(outcome.kind, 'more');
});

test('EXPORT_NAME is answered with size, flags and 124 zeroes', () => {
  const { bytes, outcome } = exchange(
    start(),
    clientFlags(1),
    option(NBD_OPT_EXPORT_NAME, Buffer.from('disk')),
  );
  assert.equal(bytes.length, 8 + 2 + 124);
  assert.equal(bytes.readBigUInt64BE(0), 64n * 1024n * 1024n);
  assert.equal(outcome.kind, 'ready');
});

test('EXPORT_NAME leaves the zeroes out for a client that said NO_ZEROES', () => {
  const { bytes } = exchange(start(), clientFlags(3), option(NBD_OPT_EXPORT_NAME));
  assert.equal(bytes.length, 8 + 2);
});

test('EXPORT_NAME with an unknown name ends the connection', () => {
  const wrong = option(NBD_OPT_EXPORT_NAME, Buffer.from('tape'));
  assert.equal(exchange(start(), clientFlags(3), wrong).outcome.kind, 'drop');
});

test('ABORT is acknowledged, whatever data it has', () => {
  const { types, outcome } = exchange(
    start(),
    clientFlags(3),
    option(NBD_OPT_ABORT, Buffer.from('bye')),
  );
  assert.deepEqual(types, [NBD_REP_ACK]);
  assert.equal(outcome.kind, 'end');
});

for (const [what, number, data, type] of [
  ['an unknown option', 77, 'data', NBD_REP_ERR_UNSUP],
  ['EXTENDED_HEADERS', NBD_OPT_EXTENDED_HEADERS, '', NBD_REP_ERR_UNSUP],
  ['STARTTLS', NBD_OPT_STARTTLS, '', NBD_REP_ERR_UNSUP],
  ['STARTTLS with data', NBD_OPT_STARTTLS, 'x', NBD_REP_ERR_INVALID],
  ['LIST with data', NBD_OPT_LIST, 'x', NBD_REP_ERR_INVALID],
  ['STRUCTURED_REPLY with data', NBD_OPT_STRUCTURED_REPLY, 'x', NBD_REP_ERR_INVALID],
  ['GO without data', NBD_OPT_GO, '', NBD_REP_ERR_INVALID],
  ['GO whose name is longer than its data', NBD_OPT_GO, '\0\0\0\xff', NBD_REP_ERR_INVALID],
  ['GO with bytes left over', NBD_OPT_GO, '\0\0\0\0\0\0left', NBD_REP_ERR_INVALID],
  ['a cut SET_META_CONTEXT', NBD_OPT_SET_META_CONTEXT, '\0\0\0\0\xff\0\0', NBD_REP_ERR_INVALID],
] as const) {
  test(`${what} is refused, and the handshake goes on`, () => {
    const negotiation = start();
    const refused = option(number, Buffer.from(data, 'latin1'));
    assert.deepEqual(exchange(negotiation, clientFlags(3), refused).types, [type]);
    assert.deepEqual(exchange(negotiation, option(NBD_OPT_LIST)).types, [
      NBD_REP_SERVER,
      NBD_REP_ACK,
    ]);
  });
}

test('data that is too long is skipped and answered TOO_BIG', () => {
  const long = option(NBD_OPT_INFO, Buffer.alloc(NBD_OPTION_BYTES_MAX + 1));
  const { types, outcome } = exchange(start(), clientFlags(3), long, option(NBD_OPT_ABORT));
  assert.deepEqual(types, [NBD_REP_ERR_TOO_BIG, NBD_REP_ACK]);
  assert.equal(outcome.kind, 'end');
});

test('data too long to skip ends the connection', () => {
  const header = option(NBD_OPT_INFO);
  header.writeUInt32BE(NBD_OPTION_SKIP_BYTES_MAX + 1, 12);
  assert.equal(exchange(start(), clientFlags(3), header).outcome.kind, 'drop');
});

test('a client may not go on with options for ever', () => {
  const lists = Array.from({ length: NBD_OPTIONS_MAX + 1 }, () => option(NBD_OPT_LIST));
  const { types, outcome } = exchange(start(), clientFlags(3), ...lists);
  assert.equal(types.filter((type) => type === NBD_REP_ACK).length, NBD_OPTIONS_MAX);
  assert.equal(outcome.kind, 'drop');
});

test('DF is offered once structured replies are agreed on', () => {
  for (const structured of [false, true]) {
    const negotiation = start();
    exchange(negotiation, clientFlags(3));
    if (structured) exchange(negotiation, option(NBD_OPT_STRUCTURED_REPLY));
    const { outcome } = exchange(negotiation, option(NBD_OPT_GO, goData('disk')));
    assert(outcome.kind === 'ready');
    assert.equal((outcome.session.transmissionFlags & NBD_FLAG_SEND_DF) !== 0, structured);
    assert.equal(outcome.session.structuredReplies, structured);
  }
});

for (const [number, queries, names] of [
  [NBD_OPT_LIST_META_CONTEXT, [], ['base:allocation']],
  [NBD_OPT_LIST_META_CONTEXT, ['base:'], ['base:allocation']],
  [NBD_OPT_LIST_META_CONTEXT, ['base:', 'base:allocation'], ['base:allocation']],
  [NBD_OPT_LIST_META_CONTEXT, ['qemu:'], []],
  [NBD_OPT_SET_META_CONTEXT, [], []],
  [NBD_OPT_SET_META_CONTEXT, ['base:'], []],
  [NBD_OPT_SET_META_CONTEXT, ['x-other:y', 'base:allocation'], ['base:allocation']],
] as const) {
  const verb = number === NBD_OPT_SET_META_CONTEXT ? 'SET' : 'LIST';
  test(`${verb}_META_CONTEXT of [${queries}] finds [${names}]`, () => {
    const { replies } = exchange(
      start(),
      clientFlags(3),
      option(NBD_OPT_STRUCTURED_REPLY),
      option(number, contextData('disk', [...queries])),
    );
    const found = replies.filter((reply) => reply.type === NBD_REP_META_CONTEXT);
    assert.deepEqual(
      found.map((reply) => reply.data.toString('utf8', 4)),
      names,
    );
    assert.equal(replies.at(-1)?.type, NBD_REP_ACK);
  });
}

test('meta contexts need structured replies and a known export', () => {
  const negotiation = start();
  exchange(negotiation, clientFlags(3));
  const set = (name: string) =>
    exchange(negotiation, option(NBD_OPT_SET_META_CONTEXT, contextData(name, []))).types;
  assert.deepEqual(set('disk'), [NBD_REP_ERR_INVALID]);
  exchange(negotiation, option(NBD_OPT_STRUCTURED_REPLY));
  assert.deepEqual(set('tape'), [NBD_REP_ERR_UNKNOWN]);
});

test('a second SET_META_CONTEXT replaces the first', () => {
  const negotiation = start();
  exchange(negotiation, clientFlags(3), option(NBD_OPT_STRUCTURED_REPLY));
  const set = (queries: string[]) =>
    exchange(negotiation, option(NBD_OPT_SET_META_CONTEXT, contextData('disk', queries)));
  set(['base:allocation']);
  set([]);
  const { outcome } = exchange(negotiation, option(NBD_OPT_GO, goData('disk')));
  assert(outcome.kind === 'ready');
  assert.equal(outcome.session.allocationContext, false);
});

test('a device without block status has no contexts', () => {
  const device = new ScriptedDevice({ capabilities: { blockStatus: false } });
  const { types } = exchange(
    start(device),
    clientFlags(3),
    option(NBD_OPT_STRUCTURED_REPLY),
    option(NBD_OPT_SET_META_CONTEXT, contextData('disk', ['base:allocation'])),
  );
  assert.deepEqual(types, [NBD_REP_ACK, NBD_REP_ACK]);
});

test('a read-only device offers no command that changes it', () => {
  const all = transmissionFlagsOf(EVERYTHING, true);
  const readOnly = transmissionFlagsOf({ ...EVERYTHING, readOnly: true }, true);
  assert.equal(all, 0b1101_1110_1101);
  assert.equal(readOnly, 0b0101_1000_1111);
});

test('FAST_ZERO is not offered without WRITE_ZEROES', () => {
  const flags = transmissionFlagsOf({ ...EVERYTHING, writeZeroes: false }, false);
  assert.equal(flags, 0b0101_0010_1101);
});

test('the replies do not depend on how the bytes are split', () => {
  const script = Buffer.concat([
    clientFlags(3),
    option(77, Buffer.alloc(30)),
    option(NBD_OPT_INFO, Buffer.alloc(NBD_OPTION_BYTES_MAX + 1)),
    option(NBD_OPT_STRUCTURED_REPLY),
    option(NBD_OPT_SET_META_CONTEXT, contextData('disk', ['base:allocation'])),
    option(NBD_OPT_GO, goData('disk', [NBD_INFO_NAME])),
  ]);
  const whole = exchange(start(), script);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: script.length - 1 })), (cuts) => {
      const edges = [0, ...[...new Set(cuts)].sort((a, b) => a - b), script.length];
      const chunks = edges.slice(1).map((end, index) => script.subarray(edges[index], end));
      const split = exchange(start(), ...chunks);
      assert.deepEqual(split.bytes, whole.bytes);
      assert.deepEqual(split.outcome, whole.outcome);
    }),
    { interruptAfterTimeLimit: 1000 },
  );
});
