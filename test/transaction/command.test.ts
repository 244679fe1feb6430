import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplyKind, RequestKind } from '../../src/protocol/frame.js';
import { KIND } from '../../src/protocol/kinds.js';
import { type Command, isAnswerTo } from '../../src/transaction/command.js';
import { command, connectedEngine, done, transmits } from './engine-support.js';

const ANSWERED_BY: readonly (readonly [RequestKind, ReplyKind])[] = [
  [KIND.read, KIND.data],
  [KIND.write, KIND.done],
  [KIND.flush, KIND.done],
  [KIND.trim, KIND.done],
  [KIND.writeZeroes, KIND.done],
  [KIND.blockStatus, KIND.extents],
  [KIND.cache, KIND.done],
  [KIND.hash, KIND.data],
];
const REPLIES: readonly ReplyKind[] = [KIND.done, KIND.data, KIND.extents, KIND.failed];

function asked(kind: RequestKind, lengthBytes = 0): Command {
  return { ...command(0), kind, lengthBytes };
}

for (const [request, reply] of ANSWERED_BY) {
  test(`a request of kind ${request} is answered by kind ${reply} or by a failure alone`, () => {
    for (const kind of REPLIES) {
      const fits = kind === reply || kind === KIND.failed;
      assert.equal(isAnswerTo(asked(request), { ...done(1), kind }), fits, `kind ${kind}`);
    }
  });
}

test('a read is answered by as many bytes as it asked for', () => {
  const read = asked(KIND.read, 4096);
  const data = { ...done(1), kind: KIND.data };
  assert.ok(isAnswerTo(read, { ...data, payloadBytes: 4096 }));
  assert.ok(!isAnswerTo(read, { ...data, payloadBytes: 4095 }));
  assert.ok(!isAnswerTo(read, { ...data, payloadBytes: 4097 }));
});

test('a reply of the wrong kind is a breach, and ends no command', () => {
  const engine = connectedEngine();
  engine.submit({ ...command(0), kind: KIND.write }, 0);
  const [sent] = transmits(engine);
  assert.ok(sent);
  const reply = { ...done(sent.transaction), kind: KIND.data };
  assert.throws(() => engine.handleReply(sent.slot, reply, 0), { code: 'DST_E_PROTOCOL' });
  assert.deepEqual(engine.takeCompletions(), []);
});
