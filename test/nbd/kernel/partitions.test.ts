import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scanPartitions } from '../../../src/nbd/kernel/partitions.js';
import { madeUpFolders } from './made-up-folders.js';

// What it finds on a device, test/guest tells.
describe('a look for partitions', () => {
  it('fails without the device', async (t) => {
    await assert.rejects(scanPartitions(0, await madeUpFolders(t)), { code: 'DST_E_NOT_FOUND' });
  });

  it('fails where a file is in the place of the device', async (t) => {
    const folders = await madeUpFolders(t);
    await folders.put('dev/nbd0');
    await assert.rejects(scanPartitions(0, folders), {
      code: 'DST_E_OPEN',
      message: /not a block device/,
    });
  });
});
