/** What nbdinfo is told about an export, over the whole path. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { suiteCleanup } from '../support/cleanup.js';
import { MIB, type Pair, startPair, startTool, tool } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

/** nbdinfo's exit codes for a question. */
const TRUE = 0;
const FALSE = 2;

const ALWAYS = {
  '--can connect': TRUE,
  '--can read': TRUE,
  '--can cache': TRUE,
  '--can df': TRUE,
  '--can flush': TRUE,
  '--can fua': TRUE,
  '--can multi-conn': TRUE,
  '--can structured-reply': TRUE,
  '--is rotational': FALSE,
  '--is tls': FALSE,
};

const CHANGES = ['--can write', '--can trim', '--can zero', '--can fast-zero'];

for (const readOnly of [false, true]) {
  describe(`a ${readOnly ? 'read-only' : 'writable'} export`, {
    skip: skipWithout('nbdinfo'),
  }, () => {
    const cleanup = suiteCleanup();
    let pair: Pair;

    before(async () => {
      pair = await startPair(cleanup, { exportArgs: readOnly ? ['--read-only'] : [] });
    });

    test('is described and listed', async (t) => {
      for (const words of [[], ['--list']]) {
        const text = await tool(t, 'nbdinfo', '--json', ...words, pair.uri);
        const info = JSON.parse(text);
        assert.equal(info.protocol, 'newstyle-fixed');
        assert.equal(info.TLS, false);
        assert.equal(info.structured, true);
        assert.equal(info.exports.length, 1);
        const [shown] = info.exports;
        assert.equal(shown['export-name'], 'disk');
        assert.equal(shown['export-size'], 64 * MIB);
        assert.deepEqual(shown.contexts, ['base:allocation']);
        assert.equal(shown.block_size_minimum, 1);
        assert.equal(shown.block_size_preferred, 4096);
        assert.equal(shown.block_size_maximum, 32 * MIB);
        const facts = Object.entries(shown).filter(([name]) => /^(can|is)_/.test(name));
        assert.deepEqual(Object.fromEntries(facts), {
          is_rotational: false,
          is_read_only: readOnly,
          can_cache: true,
          can_df: true,
          can_fast_zero: !readOnly,
          can_flush: true,
          can_fua: true,
          can_multi_conn: true,
          can_trim: !readOnly,
          can_zero: !readOnly,
        });
      }
      assert.equal(await tool(t, 'nbdinfo', '--size', pair.uri), `${64 * MIB}\n`);
    });

    test('answers each question', async (t) => {
      const expected: Record<string, number> = {
        ...ALWAYS,
        ...Object.fromEntries(CHANGES.map((question) => [question, readOnly ? FALSE : TRUE])),
        '--is read-only': readOnly ? TRUE : FALSE,
      };
      const answers: Record<string, number | null> = {};
      for (const question of Object.keys(expected)) {
        const words = [...question.split(' '), pair.uri];
        answers[question] = (await startTool(t, 'nbdinfo', words).outcome).code;
      }
      assert.deepEqual(answers, expected);
    });

    test('and all of it is no reason for a warning', () => pair.stop());
  });
}
