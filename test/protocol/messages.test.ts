import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DstError } from '../../src/errors.js';
import { DEVICE_BYTES_MAX, FRAME_PAYLOAD_BYTES_MAX, LANES_MAX } from '../../src/limits.js';
import { encodeBody } from '../../src/protocol/encode.js';
import { decodeMap } from '../../src/protocol/header.js';
import {
  AGENT_BYTES_MAX,
  challengeBody,
  failureBody,
  failureError,
  helloBody,
  noticeBody,
  proofBody,
  readChallenge,
  readFailure,
  readHello,
  readNotice,
  readProof,
  readWelcome,
  welcomeBody,
} from '../../src/protocol/messages.js';
import { refuses } from './errors.js';
import { SAMPLE_DESCRIPTION, SAMPLE_HELLO, SAMPLE_PROVEN, SAMPLE_WELCOME } from './samples.js';

type Body = Record<string, unknown>;

const HELLO = helloBody(SAMPLE_HELLO);
const WELCOME = welcomeBody(SAMPLE_WELCOME);
const DESCRIPTION: Body = { ...SAMPLE_DESCRIPTION };
const CREDIT: Body = { ...SAMPLE_WELCOME.credit };

/** A body as the peer's encoder and our decoder leave it. */
function sent(body: Body): Body {
  return decodeMap(encodeBody(body));
}

function without(body: Body, key: string): Body {
  return Object.fromEntries(Object.entries(body).filter(([each]) => each !== key));
}

/** Values that fit no field which holds what `good` is. */
function unfit(good: unknown): unknown[] {
  const others: unknown[] = [null, 'x', 1.5, -1, true, Buffer.of(1), [], [1], {}];
  if (Array.isArray(good)) return others.filter((value) => !Array.isArray(value)).concat([[{}]]);
  return others.filter((value) => typeof value !== typeof good || typeof value === 'number');
}

/** Each key missing, and each with values of other types, is refused by its name. */
function refusesEachKey(read: (body: Body) => unknown, body: Body, wrap = (part: Body) => part) {
  for (const [key, good] of Object.entries(body)) {
    const named = new RegExp(`"${key}"`);
    refuses(() => read(sent(wrap(without(body, key)))), named);
    for (const bad of unfit(good)) {
      if (Buffer.isBuffer(good) && Buffer.isBuffer(bad)) continue;
      refuses(() => read(sent(wrap({ ...body, [key]: bad }))));
    }
  }
}

function refusesValues(read: (body: Body) => unknown, body: Body, key: string, bad: unknown[]) {
  for (const value of bad) {
    refuses(() => read(sent({ ...body, [key]: value })), new RegExp(`"${key}"`));
  }
}

test('a HELLO reads as what was written', () => {
  assert.deepEqual(readHello(sent(HELLO)), SAMPLE_HELLO);
});

test('a HELLO with a key missing or of another type is refused', () => {
  refusesEachKey(readHello, HELLO);
});

test('a HELLO with a value out of range is refused', () => {
  const cases: Body = {
    version: [0x10000],
    intent: ['own', ''],
    export: ['x'.repeat(4097), '\u00e9'.repeat(2049)],
    session: [Buffer.alloc(15), Buffer.alloc(17)],
    epoch: [2 ** 53],
    nonce: [Buffer.alloc(31), Buffer.alloc(33)],
    checksums: [Array(33).fill('none'), ['x'.repeat(33)]],
    agent: ['x'.repeat(AGENT_BYTES_MAX + 1)],
  };
  for (const [key, bad] of Object.entries(cases)) {
    refusesValues(readHello, HELLO, key, bad as unknown[]);
  }
});

test('keys that are not known are left alone', () => {
  const extra = { ...HELLO, proof: Buffer.alloc(32), nested: { deep: [1, { er: null }] } };
  assert.deepEqual(readHello(sent(extra)), SAMPLE_HELLO);
  assert.deepEqual(readWelcome(sent({ ...WELCOME, extra: 1 })), SAMPLE_WELCOME);
  assert.equal(readNotice(sent({ event: 'going away', inMs: 5 }))?.event, 'going away');
});

test('a WELCOME reads as what was written', () => {
  assert.deepEqual(readWelcome(sent(WELCOME)), SAMPLE_WELCOME);
});

test('a WELCOME may come without an export', () => {
  assert.equal(readWelcome(sent(without(WELCOME, 'export'))).export, undefined);
  assert.equal(readWelcome(sent({ ...WELCOME, export: null })).export, undefined);
});

test('a WELCOME with a key missing or of another type is refused', () => {
  refusesEachKey(readWelcome, without(without(WELCOME, 'export'), 'lanes'));
  refusesEachKey(readWelcome, CREDIT, (credit) => ({ ...WELCOME, credit }));
  refusesEachKey(readWelcome, DESCRIPTION, (part) => ({ ...WELCOME, export: part }));
  refusesEachKey(readWelcome, DESCRIPTION, (part) => ({ ...WELCOME, exports: [part] }));
});

test('a WELCOME with a value out of range is refused', () => {
  const cases: Body = {
    lanes: [0, 0x10000, '4'],
    checksum: ['x'.repeat(33)],
    export: ['vol', 1, [], Buffer.alloc(1)],
    payloadBytesMax: [0, FRAME_PAYLOAD_BYTES_MAX + 1],
    verifier: [Buffer.alloc(15)],
  };
  for (const [key, bad] of Object.entries(cases)) {
    refusesValues(readWelcome, WELCOME, key, bad as unknown[]);
  }
});

test('a WELCOME without lanes allows one, and one of a later version as many as we know', () => {
  assert.equal(readWelcome(sent(without(WELCOME, 'lanes'))).lanes, 1);
  assert.equal(readWelcome(sent({ ...WELCOME, lanes: 1000 })).lanes, LANES_MAX);
});

test('a HELLO names its lane unless it is 0', () => {
  assert.equal('lane' in HELLO, false);
  assert.equal(readHello(sent(helloBody({ ...SAMPLE_HELLO, lane: 3 }))).lane, 3);
  refusesValues(readHello, HELLO, 'lane', [-1, LANES_MAX, '1']);
});

test('a WELCOME may come with a proof, of the one length that there is', () => {
  const proven = welcomeBody(SAMPLE_PROVEN);
  assert.deepEqual(readWelcome(sent(proven)), SAMPLE_PROVEN);
  assert.equal('proof' in readWelcome(sent({ ...proven, proof: null })), false);
  refusesValues(readWelcome, proven, 'proof', [Buffer.alloc(31), Buffer.alloc(33), 'x', [], 1]);
});

test('a CHALLENGE and a PROOF read as what was written', () => {
  const [nonce, proof] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  assert.deepEqual(readChallenge(sent({ ...challengeBody({ nonce }), more: 1 })), { nonce });
  assert.deepEqual(readProof(sent({ ...proofBody({ proof }), more: 1 })), { proof });
});

test('a CHALLENGE and a PROOF with a value missing or of another length are refused', () => {
  refuses(() => readChallenge(sent({})), /"nonce"/);
  refuses(() => readProof(sent({})), /"proof"/);
  const wrong = [null, 'x', [], Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(33)];
  for (const value of wrong) {
    refuses(() => readChallenge(sent({ nonce: value })), /"nonce"/);
    refuses(() => readProof(sent({ proof: value })), /"proof"/);
  }
});

test('a description with a value out of range is refused', () => {
  const read = (part: Body) => readWelcome({ ...WELCOME, export: part });
  const cases: Body = {
    sizeBytes: [DEVICE_BYTES_MAX + 1],
    minimumBlockBytes: [0, 3, 131072],
    preferredBlockBytes: [0, 4097, 2 ** 26],
    capabilities: [['x'.repeat(33)], Array(65).fill('trim')],
  };
  for (const [key, bad] of Object.entries(cases)) {
    refusesValues(read, DESCRIPTION, key, bad as unknown[]);
  }
});

test('a credit of nothing is refused', () => {
  const read = (credit: Body) => readWelcome({ ...WELCOME, credit });
  for (const key of Object.keys(CREDIT)) refusesValues(read, CREDIT, key, [0]);
});

test('capabilities that are not known are passed over', () => {
  const description = { ...DESCRIPTION, capabilities: ['trim', 'teleport'] };
  const welcome = readWelcome(sent({ ...WELCOME, export: description }));
  assert.deepEqual(welcome.export?.capabilities, ['trim']);
});

test("the text with which a peer introduces itself can't control a terminal", () => {
  assert.equal(readHello({ ...HELLO, agent: 'a\u001b[2Jb' }).agent, 'a [2Jb');
  assert.equal(readWelcome({ ...WELCOME, agent: 'a\nb' }).agent, 'a b');
});

test('a failure reads as what was written', () => {
  const failure = { code: 'DST_E_NO_SPACE', message: 'the file system is full' } as const;
  assert.deepEqual(readFailure(sent(failureBody(failure))), failure);
});

test('a failure without a code or a message has a general one', () => {
  const general = { code: 'DST_E_PEER', message: 'the peer gave no reason' };
  for (const body of [{}, { code: 1, message: 2 }, { code: 'ENOSPC', message: '' }]) {
    assert.deepEqual(readFailure(sent(body)), general);
  }
  const tooLong = `DST_E_${'X'.repeat(49)}`;
  for (const code of [tooLong, 'DST_E_', 'DST_E_lower', 'xDST_E_X', 'DST_E_X\n']) {
    assert.equal(readFailure({ code }).code, 'DST_E_PEER');
  }
});

test("a failure's message has no control characters and a bounded length", () => {
  const message = 'full\r\n\u001b[31mred\u0007\u009b';
  assert.equal(readFailure({ message }).message, 'full [31mred ');
  assert.equal(readFailure({ message: 'x'.repeat(5000) }).message.length, 1024);
  const long = { code: 'DST_E_BUSY', message: 'x'.repeat(5000) } as const;
  assert.equal(String(failureBody(long).message).length, 1024);
});

test('a failure becomes an error with the code, the sentence and the errno', () => {
  const error = failureError({ code: 'DST_E_NO_SPACE', message: 'full' }, 28);
  assert.ok(error instanceof DstError);
  assert.deepEqual([error.code, error.message, error.errno], ['DST_E_NO_SPACE', 'full', 'ENOSPC']);
});

test('an errno that NBD does not have becomes EIO, and none stays none', () => {
  const failure = { code: 'DST_E_PEER', message: 'x' } as const;
  assert.equal(failureError(failure, 999).errno, 'EIO');
  assert.equal(failureError(failure).errno, undefined);
});

test('notices read as what was written', () => {
  const failure = { code: 'DST_E_FENCED', message: 'gone' } as const;
  for (const notice of [
    { event: 'resized', sizeBytes: 2 ** 40 },
    { event: 'going away' },
    { event: 'working', transactions: [] },
    { event: 'working', transactions: [1, 2 ** 32, Number.MAX_SAFE_INTEGER] },
    { event: 'closing', failure },
  ] as const) {
    assert.deepEqual(readNotice(sent(noticeBody(notice))), notice);
  }
});

test('an error is written into a notice as its code and its message alone', () => {
  const failure = new DstError('DST_E_LIMIT', 'too much', { errno: 'EINVAL' });
  const notice = readNotice(sent(noticeBody({ event: 'closing', failure })));
  assert.deepEqual(notice, {
    event: 'closing',
    failure: { code: 'DST_E_LIMIT', message: 'too much' },
  });
});

test('a notice of an event that is not known is passed over', () => {
  for (const body of [{}, { event: 'moved' }, { event: 7 }]) {
    assert.equal(readNotice(sent(body)), undefined);
  }
});

test('a known notice with a value out of range is refused', () => {
  refuses(() => readNotice({ event: 'resized' }), /"sizeBytes"/);
  refuses(() => readNotice({ event: 'resized', sizeBytes: DEVICE_BYTES_MAX + 1 }), /"sizeBytes"/);
  for (const transactions of [undefined, 1, ['1'], [-1], [1.5], [2 ** 53], Array(513).fill(1)]) {
    refuses(() => readNotice({ event: 'working', transactions }), /"transactions"/);
  }
  refuses(() => readNotice({ event: 'closing' }), /"failure"/);
  refuses(() => readNotice({ event: 'closing', failure: 'why' }), /"failure"/);
});
