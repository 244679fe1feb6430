import { join } from 'node:path';
import { test } from 'node:test';
import { mountTmpfs } from '../block/helpers.js';
import { MIB, makeSparse, nbdsh, startPair } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

test("the export's full disk is ENOSPC at the client, reads go on, and trims make room", {
  skip: skipWithout('nbdsh'),
}, async (t) => {
  const mounted = mountTmpfs(t, '16m');
  if ('reason' in mounted) return t.skip(mounted.reason);
  const store = join(mounted.folder, 'store.img');
  makeSparse(store, 64 * MIB);
  const pair = await startPair(t, { store });
  await nbdsh(
    t,
    pair.uri,
    'import errno',
    'MIB = 1 << 20',
    'h.pwrite(b"x" * 8 * MIB, 0)',
    'try:',
    '    h.pwrite(b"y" * 16 * MIB, 8 * MIB)',
    '    raise SystemExit("a full disk took a write")',
    'except nbd.Error as error:',
    '    assert error.errnum == errno.ENOSPC, error',
    'assert h.pread(8 * MIB, 0) == b"x" * 8 * MIB',
    'h.trim(32 * MIB, 8 * MIB)',
    'h.pwrite(b"z" * 4 * MIB, 40 * MIB)',
    'h.flush()',
    'assert h.pread(4 * MIB, 40 * MIB) == b"z" * 4 * MIB',
    'assert h.pread(8 * MIB, 0) == b"x" * 8 * MIB',
  );
  await pair.stop(/DST_E_NO_SPACE/);
});
