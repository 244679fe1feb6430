import assert from 'node:assert/strict';
import test from 'node:test';
import { describeHandshakeFailure } from '../../src/trust/handshake-failure.js';

const CASES = [
  ['us', 298, 'DST_E_CERT_NAME'],
  ['us', 301, 'DST_E_CERT_EXPIRED'],
  ['us', 304, 'DST_E_CERT_AUTHORITY'],
  ['us', 376, 'DST_E_HANDSHAKE_PROTOCOL'],
  ['us', 256, 'DST_E_HANDSHAKE'],
  ['us', 10, 'DST_E_HANDSHAKE'],
  ['peer', 256, 'DST_E_CERT_CLIENT'],
  ['peer', 298, 'DST_E_CERT_CLIENT'],
  ['peer', 301, 'DST_E_CERT_CLIENT'],
  ['peer', 304, 'DST_E_CERT_CLIENT'],
  ['peer', 307, 'DST_E_CERT_CLIENT'],
  ['peer', 372, 'DST_E_CERT_CLIENT'],
  ['peer', 376, 'DST_E_HANDSHAKE_PROTOCOL'],
  ['peer', 296, 'DST_E_HANDSHAKE'],
  ['peer', 0, 'DST_E_HANDSHAKE'],
] as const;

test('every close code becomes an error that names the host', () => {
  for (const [refusedBy, code, expected] of CASES) {
    const error = describeHandshakeFailure(code, 'disk.example.com', refusedBy);
    assert.equal(error.code, expected, `${refusedBy} ${code}`);
    assert.match(error.message, /disk\.example\.com/);
  }
});

test('a code without a meaning of its own is given as a number', () => {
  assert.match(describeHandshakeFailure(296, 'h', 'us').message, /TLS alert 40/);
  assert.match(describeHandshakeFailure(10, 'h', 'us').message, /QUIC error 10/);
});
