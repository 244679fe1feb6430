import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { DstError } from '../../src/errors.js';
import { type Claimant, Claims, formatPeer } from '../../src/export/claims.js';
import { TAKEN_OVER_SESSIONS_MAX } from '../../src/limits.js';

const STORE = { name: 'vol', device: new MemoryDevice(512) };
const ADDRESS = { address: '192.0.2.1', port: 4711 };

function claimant(key: string, changes: Partial<Claimant> = {}): Claimant {
  return { key, address: ADDRESS, resuming: false, takeover: false, ...changes };
}

function refuses(claims: Claims, asking: Claimant, code: string): string {
  let message = '';
  assert.throws(
    () => claims.take(STORE, asking),
    (error) => {
      assert.ok(error instanceof DstError);
      message = error.message;
      return error.code === code;
    },
  );
  return message;
}

test('another session is refused, and told who writes and since when', () => {
  const claims = new Claims();
  const before = Date.now();
  claims.take(STORE, claimant('a'));
  const message = refuses(claims, claimant('b'), 'DST_E_BUSY');
  assert.match(message, /^192\.0\.2\.1:4711 writes to export "vol" since /);
  const [since = ''] = /\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(message) ?? [];
  assert.ok(Date.parse(since) >= before && Date.parse(since) <= Date.now(), since);
});

test('it is told the address from which the holder writes now', () => {
  const claims = new Claims();
  claims.take(STORE, claimant('a'));
  claims.moved(STORE, 'a', { address: '2001:db8::1', port: 1 });
  claims.moved(STORE, 'b', { address: '192.0.2.9', port: 9 });
  assert.match(refuses(claims, claimant('b'), 'DST_E_BUSY'), /^\[2001:db8::1\]:1 writes/);
});

test('stores are claimed one by one', () => {
  const claims = new Claims();
  claims.take(STORE, claimant('a'));
  assert.equal(claims.take({ ...STORE, name: 'other' }, claimant('b')).from, undefined);
});

test('a claim that was released is free', () => {
  const claims = new Claims();
  claims.take(STORE, claimant('a'));
  claims.release(STORE, 'b');
  refuses(claims, claimant('b'), 'DST_E_BUSY');
  claims.release(STORE, 'a');
  assert.equal(claims.take(STORE, claimant('b')).from, undefined);
});

test('a session that comes back gets its claim while nobody else has had it', () => {
  const claims = new Claims();
  assert.equal(claims.take(STORE, claimant('a', { resuming: true })).from, undefined);
  claims.release(STORE, 'a');
  assert.equal(claims.take(STORE, claimant('a', { resuming: true })).from, undefined);
  refuses(claims, claimant('b'), 'DST_E_BUSY');
});

test('a session that comes back after another has written is refused for good', () => {
  const claims = new Claims();
  claims.take(STORE, claimant('a'));
  claims.release(STORE, 'a');
  claims.take(STORE, claimant('b'));
  refuses(claims, claimant('a', { resuming: true }), 'DST_E_TAKEN_OVER');
  refuses(claims, claimant('a', { resuming: true, takeover: true }), 'DST_E_TAKEN_OVER');
  claims.release(STORE, 'b');
  refuses(claims, claimant('a', { resuming: true }), 'DST_E_TAKEN_OVER');
});

test('a takeover names the session to fence, and that one gets nowhere any more', () => {
  const claims = new Claims();
  claims.take(STORE, claimant('a'));
  assert.equal(claims.take(STORE, claimant('b', { takeover: true })).from, 'a');
  refuses(claims, claimant('c'), 'DST_E_BUSY');
  refuses(claims, claimant('a', { resuming: true }), 'DST_E_TAKEN_OVER');
  refuses(claims, claimant('a', { takeover: true }), 'DST_E_TAKEN_OVER');
  claims.release(STORE, 'b');
  refuses(claims, claimant('a'), 'DST_E_TAKEN_OVER');
});

test('a takeover of what nobody holds fences nobody', () => {
  const claims = new Claims();
  assert.equal(claims.take(STORE, claimant('a', { takeover: true })).from, undefined);
  claims.release(STORE, 'a');
  assert.equal(claims.take(STORE, claimant('b', { takeover: true })).from, undefined);
});

test('what is remembered of sessions that were taken over is bounded', () => {
  const claims = new Claims();
  for (let i = 0; i <= TAKEN_OVER_SESSIONS_MAX + 1; i++) {
    claims.take(STORE, claimant(`${i}`, { takeover: true }));
  }
  refuses(claims, claimant('1', { takeover: true }), 'DST_E_TAKEN_OVER');
  const forgotten = claimant('0', { takeover: true });
  assert.equal(claims.take(STORE, forgotten).from, `${TAKEN_OVER_SESSIONS_MAX + 1}`);
});

test('an address of version 6 has brackets', () => {
  assert.equal(formatPeer({ address: '::1', port: 2 }), '[::1]:2');
});
