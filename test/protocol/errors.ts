import assert from 'node:assert/strict';
import { DstError } from '../../src/errors.js';

/** Asserts that `act` throws DST_E_PROTOCOL with a message that `pattern` fits. */
export function refuses(act: () => unknown, pattern = /./): void {
  assert.throws(act, (error: unknown) => {
    assert.ok(error instanceof DstError, String(error));
    assert.equal(error.code, 'DST_E_PROTOCOL');
    assert.match(error.message, pattern);
    return true;
  });
}
