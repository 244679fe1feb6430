import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Capabilities } from '../../src/block/device.js';
import { NBD_PAYLOAD_BYTES_MAX } from '../../src/limits.js';
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
} from '../../src/nbd/constants.js';
import { type Agreed, sessionOf } from '../../src/nbd/session.js';
import { commandName, refusalOf } from '../../src/nbd/validate.js';
import { ScriptedDevice } from './support.js';

const SIZE_BYTES = 2 ** 36;
const TOO_LONG = NBD_PAYLOAD_BYTES_MAX + 512;
const RANGED = [
  NBD_CMD_READ,
  NBD_CMD_WRITE,
  NBD_CMD_TRIM,
  NBD_CMD_CACHE,
  NBD_CMD_WRITE_ZEROES,
  NBD_CMD_BLOCK_STATUS,
];

interface Case {
  command: number;
  offset?: number;
  lengthBytes?: number;
  flags?: number;
  /** What the device lacks or has, beyond everything. */
  device?: Partial<Capabilities>;
  agreed?: Partial<Agreed>;
}

/** The errno of a request of 4 KiB at 0, changed as the case says; 'fine' where it is. */
function judge({ command, offset, lengthBytes, flags, device, agreed }: Case): string {
  const session = sessionOf(
    new ScriptedDevice({
      sizeBytes: SIZE_BYTES,
      minimumBlockBytes: 512,
      ...(device === undefined ? {} : { capabilities: device }),
    }),
    { structuredReplies: true, allocationContext: true, ...agreed },
  );
  const request = {
    command,
    flags: flags ?? 0,
    cookieHigh: 0,
    cookieLow: 0,
    offset: offset ?? 0,
    lengthBytes: lengthBytes ?? (command === NBD_CMD_FLUSH ? 0 : 4096),
  };
  return refusalOf(request, session)?.errno ?? 'fine';
}

for (const command of RANGED) {
  const name = commandName(command);
  const writes = command === NBD_CMD_WRITE || command === NBD_CMD_WRITE_ZEROES;
  const pastTheEnd = writes ? 'ENOSPC' : 'EINVAL';

  test(`${name}: ranges`, () => {
    assert.equal(judge({ command }), 'fine');
    assert.equal(judge({ command, offset: SIZE_BYTES - 4096 }), 'fine');
    assert.equal(judge({ command, offset: SIZE_BYTES - 4096 + 512 }), pastTheEnd);
    assert.equal(judge({ command, offset: SIZE_BYTES }), pastTheEnd);
    assert.equal(judge({ command, offset: 2 ** 64 }), pastTheEnd);
    assert.equal(judge({ command, lengthBytes: 0 }), 'EINVAL');
  });

  test(`${name}: alignment`, () => {
    assert.equal(judge({ command, offset: 512 }), 'fine');
    assert.equal(judge({ command, offset: 1 }), 'EINVAL');
    assert.equal(judge({ command, offset: 2 ** 33 + 1 }), 'EINVAL');
    assert.equal(judge({ command, lengthBytes: 513 }), 'EINVAL');
  });

  test(`${name}: flags`, () => {
    assert.equal(judge({ command, flags: NBD_CMD_FLAG_FUA }), 'fine');
    assert.equal(judge({ command, flags: NBD_CMD_FLAG_FUA, device: { fua: false } }), 'EINVAL');
    assert.equal(judge({ command, flags: 1 << 5 }), 'EINVAL');
    assert.equal(judge({ command, flags: 1 << 15 }), 'EINVAL');
  });
}

for (const [what, errno, wrong] of [
  ['an unknown command', 'EINVAL', { command: 77 }],
  ['RESIZE', 'EINVAL', { command: 8 }],
  ['a read of the most', 'fine', { command: NBD_CMD_READ, lengthBytes: NBD_PAYLOAD_BYTES_MAX }],
  ['a read of more', 'EOVERFLOW', { command: NBD_CMD_READ, lengthBytes: TOO_LONG }],
  [
    'a read of more with DF',
    'EOVERFLOW',
    { command: NBD_CMD_READ, lengthBytes: TOO_LONG, flags: NBD_CMD_FLAG_DF },
  ],
  ['a write of the most', 'fine', { command: NBD_CMD_WRITE, lengthBytes: NBD_PAYLOAD_BYTES_MAX }],
  ['a write of more', 'EINVAL', { command: NBD_CMD_WRITE, lengthBytes: TOO_LONG }],
  ['a trim of more', 'fine', { command: NBD_CMD_TRIM, lengthBytes: 2 ** 32 - 512 }],
  ['write zeroes of more', 'fine', { command: NBD_CMD_WRITE_ZEROES, lengthBytes: 2 ** 32 - 512 }],
  ['DF', 'fine', { command: NBD_CMD_READ, flags: NBD_CMD_FLAG_DF }],
  [
    'DF without structured replies',
    'EINVAL',
    { command: NBD_CMD_READ, flags: NBD_CMD_FLAG_DF, agreed: { structuredReplies: false } },
  ],
  ['DF on a write', 'EINVAL', { command: NBD_CMD_WRITE, flags: NBD_CMD_FLAG_DF }],
  ['NO_HOLE', 'fine', { command: NBD_CMD_WRITE_ZEROES, flags: NBD_CMD_FLAG_NO_HOLE }],
  ['NO_HOLE on a trim', 'EINVAL', { command: NBD_CMD_TRIM, flags: NBD_CMD_FLAG_NO_HOLE }],
  ['FAST_ZERO', 'fine', { command: NBD_CMD_WRITE_ZEROES, flags: NBD_CMD_FLAG_FAST_ZERO }],
  [
    'FAST_ZERO, not offered',
    'EINVAL',
    { command: NBD_CMD_WRITE_ZEROES, flags: NBD_CMD_FLAG_FAST_ZERO, device: { fastZero: false } },
  ],
  ['REQ_ONE', 'fine', { command: NBD_CMD_BLOCK_STATUS, flags: NBD_CMD_FLAG_REQ_ONE }],
  ['REQ_ONE on a read', 'EINVAL', { command: NBD_CMD_READ, flags: NBD_CMD_FLAG_REQ_ONE }],
  [
    'block status without a context',
    'EINVAL',
    { command: NBD_CMD_BLOCK_STATUS, agreed: { allocationContext: false } },
  ],
  ['flush', 'fine', { command: NBD_CMD_FLUSH }],
  ['flush with FUA', 'fine', { command: NBD_CMD_FLUSH, flags: NBD_CMD_FLAG_FUA }],
  ['flush with an offset', 'EINVAL', { command: NBD_CMD_FLUSH, offset: 512 }],
  ['flush with a length', 'EINVAL', { command: NBD_CMD_FLUSH, lengthBytes: 512 }],
  ['flush, not offered', 'EINVAL', { command: NBD_CMD_FLUSH, device: { flush: false } }],
  ['trim, not offered', 'EINVAL', { command: NBD_CMD_TRIM, device: { trim: false } }],
  ['cache, not offered', 'EINVAL', { command: NBD_CMD_CACHE, device: { cache: false } }],
  [
    'write zeroes, not offered',
    'EINVAL',
    { command: NBD_CMD_WRITE_ZEROES, device: { writeZeroes: false } },
  ],
  ['a write to read-only', 'EPERM', { command: NBD_CMD_WRITE, device: { readOnly: true } }],
  ['a trim of read-only', 'EPERM', { command: NBD_CMD_TRIM, device: { readOnly: true } }],
  [
    'write zeroes to read-only',
    'EPERM',
    { command: NBD_CMD_WRITE_ZEROES, device: { readOnly: true } },
  ],
  ['a read of read-only', 'fine', { command: NBD_CMD_READ, device: { readOnly: true } }],
  ['a flush of read-only', 'fine', { command: NBD_CMD_FLUSH, device: { readOnly: true } }],
] satisfies [string, string, Case][]) {
  test(`${what}: ${errno}`, () => {
    assert.equal(judge(wrong), errno);
  });
}
