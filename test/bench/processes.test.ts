import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Process } from './processes.js';

function shell(script: string): Process {
  return new Process({ name: 'a contender', words: ['sh', '-c', script] });
}

test('a program that is not there is named, and what the system says of it', async () => {
  const missing = new Process({ name: 'a contender', words: ['/no/such/program'] });
  await assert.rejects(
    missing.until(() => true),
    /^Error: a contender did not start: .*\/no\/such\/program ENOENT/,
  );
});

test('a program that ends before it is ready says why', async () => {
  const early = shell('echo "no such disk" >&2; exit 3');
  await assert.rejects(
    early.until(() => false),
    /did not start: no such disk/,
  );
});

test('what a program printed is returned when it ended well', async () => {
  assert.equal(await shell('echo fine').succeeded(), 'fine\n');
});

test('a program that ends badly is an error, with what it printed', async () => {
  await assert.rejects(shell('echo broken >&2; exit 4').succeeded(), /ended with 4: broken/);
});

test('a program is ended, and ending it twice does no harm', async (t) => {
  const endless = shell('echo here; exec sleep 60');
  t.after(() => endless.stop());
  await endless.until(({ output }) => output === 'here\n');
  assert.ok(endless.peakResidentBytes > 0);
  await endless.stop();
  await assert.rejects(endless.succeeded(), /ended with SIGTERM/);
});

test('a program that holds on to its standard input ends with that', async () => {
  const program = { name: 'a contender', words: ['cat'], holdInput: true };
  await new Process(program).stop();
});
