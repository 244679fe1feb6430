import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { parseAddressRule } from '../../src/access/address-rules.js';
import { type AccessOptions, warnOfLockedDoor } from '../../src/cli/access-options.js';
import type { Listener } from '../../src/transport/transport.js';
import { noting } from '../export/support.js';
import { suiteCleanup } from '../support/cleanup.js';
import {
  folderWithCertificates,
  messageLines,
  type Outcome,
  runCommand,
  startCommand,
  startExport,
} from './command.js';

const cleanup = suiteCleanup();
let folder: string;

before(async () => {
  folder = await folderWithCertificates(cleanup);
});

function ask(...words: string[]): Promise<Outcome> {
  return runCommand(cleanup, [...words, '--cert', 'certs/ca.pem'], { cwd: folder });
}

describe('who may connect', () => {
  test('an address without a rule is refused, told what to ask for, and in the log', async (t) => {
    const exporting = await startExport(t, folder, ['memory:1M', '--allow', '192.0.2.0/24']);
    const outcome = await ask('connect', exporting.addresses[0] ?? '', '--wait');
    assert.equal(outcome.code, 1);
    const [line = ''] = messageLines(outcome);
    assert.match(line, /--allow 127\.0\.0\.1 \(DST_E_ADDRESS_DENIED\)$/);
    await exporting.logged('DST_E_ADDRESS_DENIED');
  });

  test('an address that may only read sees that', async (t) => {
    const exporting = await startExport(t, folder, ['memory:1M', '--allow', '127.0.0.1=ro']);
    const [address = ''] = exporting.addresses;
    assert.match((await ask('list', address.replace(/\/memory$/, ''))).stdout, /read-only/);
  });

  test('one client too many is told so', async (t) => {
    const exporting = await startExport(t, folder, ['memory:1M', '--max-sessions', '1']);
    const [address = ''] = exporting.addresses;
    const words = ['connect', address, '--cert', 'certs/ca.pem', '--socket', 'one.sock'];
    const first = startCommand(t, words, { cwd: folder });
    await first.line(0);
    const second = await ask('connect', address, '--read-only', '--socket', 'two.sock');
    assert.match(messageLines(second)[0] ?? '', /--max-sessions \(DST_E_SESSIONS\)$/);
    assert.equal((await first.stop()).code, 0);
  });
});

describe('the log says who may', () => {
  function said(addresses: string[], options: Partial<AccessOptions> = {}): unknown[] {
    const lines: { details: unknown; line: unknown }[] = [];
    const listeners = addresses.map((address) => ({ address: { address, port: 1 } }) as Listener);
    warnOfLockedDoor({ maxSessions: 1, maxConnectionsPerMinute: 1, ...options }, listeners, {
      ...noting(lines),
      info: () => lines.push({ details: {}, line: 'info' }),
    });
    return lines.map(({ line }) => line);
  }

  test('that only this machine may, where others might expect to', () => {
    assert.match(String(said(['127.0.0.1', '192.0.2.1'])[0]), /only this machine.*add --allow/);
    assert.deepEqual(said(['127.0.0.1', '::1']), ['info']);
    assert.deepEqual(said(['192.0.2.1'], { allow: [parseAddressRule('192.0.2.0/24')] }), []);
  });
});
