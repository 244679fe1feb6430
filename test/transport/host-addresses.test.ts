import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostAddresses } from '../../src/transport/host-addresses.js';
import { failsWith } from './fixtures.js';

const HOST = 'export.test';
const limits = { timeoutMs: 10_000, signal: undefined };
const PATIENCE_MS = 1;

/** A name service that gives one answer after another; past the last one it is silent. */
function nameService(...answers: (string[] | Error)[]) {
  const service = {
    questions: 0,
    lookup: (): Promise<string[]> => {
      const answer = answers[service.questions++];
      if (answer === undefined) return new Promise(() => {});
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
  return service;
}

test('an address needs no name service', async () => {
  const service = nameService();
  const addresses = new HostAddresses('192.0.2.1', service.lookup);
  assert.deepEqual(await addresses.resolve(limits), ['192.0.2.1']);
  assert.equal(addresses.current, '192.0.2.1');
  assert.equal(service.questions, 0);
});

test('a name is asked for anew each time', async () => {
  const { lookup } = nameService(['192.0.2.1'], ['192.0.2.2', '192.0.2.3']);
  const addresses = new HostAddresses(HOST, lookup);
  assert.equal(addresses.current, undefined);
  assert.deepEqual(await addresses.resolve(limits), ['192.0.2.1']);
  assert.deepEqual(await addresses.resolve(limits), ['192.0.2.2', '192.0.2.3']);
  assert.equal(addresses.current, '192.0.2.2');
});

test('the address that was connected to is the current one', async () => {
  const addresses = new HostAddresses(HOST, nameService(['192.0.2.1', '192.0.2.2']).lookup);
  await addresses.resolve(limits);
  addresses.connected = '192.0.2.2';
  assert.equal(addresses.current, '192.0.2.2');
});

test('while the name service is silent, what it said before serves', async () => {
  const service = nameService(['192.0.2.1']);
  const addresses = new HostAddresses(HOST, service.lookup, PATIENCE_MS);
  await addresses.resolve(limits);
  for (let i = 0; i < 5; i++) assert.deepEqual(await addresses.resolve(limits), ['192.0.2.1']);
  assert.equal(service.questions, 2, 'there is one question at a time');
});

test('a late answer counts from then on', async () => {
  let answer: (addresses: string[]) => void = () => {};
  const answers = [Promise.resolve(['192.0.2.1']), new Promise<string[]>((r) => (answer = r))];
  const addresses = new HostAddresses(
    HOST,
    () => answers.shift() ?? new Promise(() => {}),
    PATIENCE_MS,
  );
  await addresses.resolve(limits);
  assert.deepEqual(await addresses.resolve(limits), ['192.0.2.1']);
  answer(['192.0.2.2']);
  assert.deepEqual(await addresses.resolve(limits), ['192.0.2.2']);
});

test('while the name service fails, what it said before serves', async () => {
  const { lookup } = nameService(['192.0.2.1'], new Error('EAI_AGAIN'), ['192.0.2.2']);
  const addresses = new HostAddresses(HOST, lookup);
  await addresses.resolve(limits);
  assert.deepEqual(await addresses.resolve(limits), ['192.0.2.1']);
  assert.deepEqual(await addresses.resolve(limits), ['192.0.2.2']);
});

test('a name that was never known is told as such, when the service fails or is silent', async () => {
  const addresses = new HostAddresses(HOST, nameService(new Error('ENOTFOUND')).lookup);
  await assert.rejects(addresses.resolve(limits), failsWith('DST_E_RESOLVE'));
  await assert.rejects(
    addresses.resolve({ timeoutMs: 1, signal: undefined }),
    failsWith('DST_E_RESOLVE'),
  );
});

test('a question that fails after everybody stopped waiting harms nobody', async () => {
  let fail: (error: Error) => void = () => {};
  const addresses = new HostAddresses(HOST, () => new Promise((_, reject) => (fail = reject)));
  await assert.rejects(
    addresses.resolve({ timeoutMs: 10_000, signal: AbortSignal.abort() }),
    failsWith('DST_E_ABORTED'),
  );
  fail(new Error('EAI_AGAIN'));
  // An unhandled rejection would fail this file.
  await new Promise((resolve) => setImmediate(resolve));
});
