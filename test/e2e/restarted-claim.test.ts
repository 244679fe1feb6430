/** Who writes to a store is known to the next process of its export too. */
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, exportAgain, readyUri, startPair } from '../support/end-to-end.js';

test('a client that was taken over while it was frozen is refused by a restarted export', async (t) => {
  const pair = await startPair(t);
  pair.connecting.child.kill('SIGSTOP');
  const second = connect(t, pair.folder, pair.address, join(pair.folder, 'second.sock'), [
    '--takeover',
  ]);
  await readyUri(second);
  await Promise.all([second.stop('SIGKILL'), pair.exporting.stop('SIGKILL')]);
  const exporting = await exportAgain(t, pair);
  pair.connecting.child.kill('SIGCONT');
  await pair.connecting.logged('DST_E_TAKEN_OVER');
  await pair.connecting.outcome;
  await exporting.stop();
});

test('a client whose export was restarted goes on, also where it had taken over', async (t) => {
  const pair = await startPair(t, { connectArgs: ['--takeover'] });
  await pair.exporting.stop('SIGKILL');
  const exporting = await exportAgain(t, pair);
  await pair.connecting.logged('connected to the export again');
  await pair.connecting.stop();
  await exporting.stop();
});
