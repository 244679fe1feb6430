/** A real file system, and other data, is copied in and out by others' programs. */
import { randomFillSync } from 'node:crypto';
import { cpSync, lstatSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { temporaryFolder } from '../cli/command.js';
import { suiteCleanup } from '../support/cleanup.js';
import { KIB, MIB, makeSparse, nbdsh, SCHEMES, startPair, tool } from '../support/end-to-end.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { skipWithout } from '../support/tools.js';

const IMAGE_BYTES = 64 * MIB;

/** Files larger than this are left out of the tree, so that it fits the image. */
const TREE_FILE_BYTES_MAX = 64 * KIB;

const cleanup = suiteCleanup();

describe('an ext4 image of node_modules', {
  skip: skipWithout('mke2fs', 'e2fsck', 'cmp'),
}, () => {
  let image: string;

  before(async () => {
    const folder = temporaryFolder(cleanup);
    const tree = join(folder, 'tree');
    cpSync(join(REPOSITORY_ROOT, 'node_modules'), tree, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => lstatSync(path).size <= TREE_FILE_BYTES_MAX,
    });
    image = join(folder, 'ext4.img');
    makeSparse(image, IMAGE_BYTES);
    await tool(cleanup, 'mke2fs', '-q', '-t', 'ext4', '-d', tree, image);
  });

  for (const scheme of SCHEMES) {
    test(`goes in and out with nbdcopy (${scheme})`, {
      skip: skipWithout('nbdcopy'),
    }, async (t) => {
      const pair = await startPair(t, { scheme, sizeBytes: IMAGE_BYTES });
      const out = join(pair.folder, 'out.img');
      await tool(t, 'nbdcopy', '--flush', image, pair.uri);
      await tool(t, 'nbdcopy', pair.uri, out);
      await pair.stop();
      for (const copy of [out, pair.storePath]) {
        await tool(t, 'cmp', image, copy);
        await tool(t, 'e2fsck', '-fn', copy);
      }
    });
  }

  test('goes in and out with qemu-img', { skip: skipWithout('qemu-img') }, async (t) => {
    const pair = await startPair(t, { sizeBytes: IMAGE_BYTES });
    const out = join(pair.folder, 'out.img');
    const raw = ['-f', 'raw'];
    await tool(t, 'qemu-img', 'convert', '-n', ...raw, '-O', 'raw', image, pair.uri);
    await tool(t, 'qemu-img', 'compare', ...raw, '-F', 'raw', image, pair.uri);
    await tool(t, 'qemu-img', 'convert', ...raw, '-O', 'raw', pair.uri, out);
    await pair.stop();
    for (const copy of [out, pair.storePath]) {
      await tool(t, 'cmp', image, copy);
      await tool(t, 'e2fsck', '-fn', copy);
    }
  });
});

for (const scheme of SCHEMES) {
  test(`many commands of many connections of several clients at once (${scheme})`, {
    skip: skipWithout('nbdcopy', 'cmp'),
  }, async (t) => {
    const pair = await startPair(t, { scheme, sizeBytes: 32 * MIB });
    const source = join(pair.folder, 'source.img');
    writeFileSync(source, randomFillSync(Buffer.alloc(32 * MIB)));
    const wide = ['--connections=4', '--requests=64'];
    await tool(t, 'nbdcopy', '--flush', ...wide, source, pair.uri);
    const copies = ['a.img', 'b.img', 'c.img'].map((name) => join(pair.folder, name));
    await Promise.all(copies.map((copy) => tool(t, 'nbdcopy', ...wide, pair.uri, copy)));
    await pair.stop();
    for (const copy of [pair.storePath, ...copies]) await tool(t, 'cmp', source, copy);
  });
}

for (const scheme of SCHEMES) {
  test(`the largest command there is: 32 MiB, at an odd place (${scheme})`, {
    skip: skipWithout('nbdsh'),
  }, async (t) => {
    const pair = await startPair(t, { scheme, sizeBytes: 64 * MIB });
    await nbdsh(
      t,
      pair.uri,
      'import os',
      'data = os.urandom(32 << 20)',
      'h.pwrite(data, 12345)',
      'assert h.pread(32 << 20, 12345) == data',
      'assert h.pread(12345, 0) == bytes(12345)',
      'assert h.pread(4096, 12345 + (32 << 20)) == bytes(4096)',
    );
    await pair.stop();
  });
}

for (const checksum of ['blake3', 'xxh128', 'crc32c', 'sha256', 'none']) {
  test(`with --checksum ${checksum}`, { skip: skipWithout('nbdcopy', 'cmp') }, async (t) => {
    const checksumArgs = ['--checksum', checksum];
    const pair = await startPair(t, {
      sizeBytes: 4 * MIB,
      exportArgs: checksumArgs,
      connectArgs: checksumArgs,
    });
    const source = join(pair.folder, 'source.img');
    const out = join(pair.folder, 'out.img');
    writeFileSync(source, randomFillSync(Buffer.alloc(4 * MIB), 512 * KIB));
    await tool(t, 'nbdcopy', '--flush', source, pair.uri);
    await tool(t, 'nbdcopy', pair.uri, out);
    await pair.stop();
    for (const copy of [out, pair.storePath]) await tool(t, 'cmp', source, copy);
  });
}
