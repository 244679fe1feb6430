import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowedChecksums } from '../../src/cli/checksum-options.js';
import { UsageError } from '../../src/cli/exit.js';
import { CHECKSUM_NAMES } from '../../wasm/checksums.js';

const secretFile = 'secret.txt';
const usage = (words: RegExp) => (error: unknown) =>
  error instanceof UsageError && words.test(error.message);

test('an export allows all, and a client all but none', async () => {
  assert.deepEqual(await allowedChecksums({}, 'export'), CHECKSUM_NAMES);
  assert.deepEqual(
    await allowedChecksums({}, 'client'),
    CHECKSUM_NAMES.filter((name) => name !== 'none'),
  );
});

test('a list is taken as it stands, each name once', async () => {
  assert.deepEqual(await allowedChecksums({ checksum: 'sha256,none,sha256' }, 'client'), [
    'sha256',
    'none',
  ]);
});

test('a name that is not known is refused', async () => {
  await assert.rejects(allowedChecksums({ checksum: 'md5' }, 'export'), usage(/no "md5".*blake2b/));
});

test('with a secret only those that can be keyed are allowed', async () => {
  for (const side of ['export', 'client'] as const) {
    assert.deepEqual(await allowedChecksums({ secretFile }, side), ['blake3', 'blake2b']);
  }
  assert.deepEqual(await allowedChecksums({ secretFile, checksum: 'blake2b' }, 'client'), [
    'blake2b',
  ]);
});

test('to ask for another one with a secret is an error that says what to do', async () => {
  await assert.rejects(
    allowedChecksums({ secretFile, checksum: 'blake3,xxh128' }, 'export'),
    usage(/xxh128 cannot be keyed.*blake3, blake2b.*--checksum-unkeyed/),
  );
});

test('with --checksum-unkeyed it may be had, and so may the defaults', async () => {
  const unkeyed = { secretFile, checksumUnkeyed: true };
  assert.deepEqual(await allowedChecksums({ ...unkeyed, checksum: 'xxh128' }, 'client'), [
    'xxh128',
  ]);
  assert.deepEqual(await allowedChecksums(unkeyed, 'export'), CHECKSUM_NAMES);
});

test('--checksum-unkeyed without a secret is a mistake', async () => {
  await assert.rejects(
    allowedChecksums({ checksumUnkeyed: true }, 'client'),
    usage(/--secret-file/),
  );
});
