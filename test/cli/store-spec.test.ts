import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsageError } from '../../src/cli/exit.js';
import { parseStores } from '../../src/cli/store-spec.js';
import { STORES_MAX } from '../../src/limits.js';

describe('STORE arguments', () => {
  for (const [text, name, source] of [
    ['disk.img', 'disk', 'disk.img'],
    ['/srv/a.b.img', 'a.b', '/srv/a.b.img'],
    ['/dev/sdb', 'sdb', '/dev/sdb'],
    ['.hidden', '.hidden', '.hidden'],
    ['memory:1M', 'memory', 'memory:1M'],
    ['root=disk.img', 'root', 'disk.img'],
    ['root=/srv/a=b.img', 'root', '/srv/a=b.img'],
    ['scratch=memory:1M', 'scratch', 'memory:1M'],
    ['./a=b.img', 'a=b', './a=b.img'],
    ['/srv/a=b.img', 'a=b', '/srv/a=b.img'],
    ['images/a=b.img', 'a=b', 'images/a=b.img'],
    ['größe=disk.img', 'größe', 'disk.img'],
  ] as const) {
    test(`${text} is ${source} as "${name}"`, () => {
      assert.deepEqual(parseStores([text], {}), [{ name, source }]);
    });
  }

  test('--name names the only store', () => {
    assert.deepEqual(parseStores(['./a=b.img'], { name: 'x' }), [
      { name: 'x', source: './a=b.img' },
    ]);
  });

  for (const [what, texts, options] of [
    ['an empty name', ['=disk.img'], {}],
    ['an empty file', ['root='], {}],
    ['nothing', [''], {}],
    ['a control character', ['disk.img'], { name: 'a\nb' }],
    ['a name of 256 bytes', [`${'ä'.repeat(128)}=disk.img`], {}],
    ['memory without a size', ['memory:'], {}],
    ['too many stores', Array.from({ length: STORES_MAX + 1 }, (_, i) => `${i}=a`), {}],
  ] as const) {
    test(`${what} is refused`, () => {
      assert.throws(() => parseStores(texts, options), UsageError);
    });
  }
});
