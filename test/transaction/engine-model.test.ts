import { test } from 'node:test';
import fc from 'fast-check';
import { payloadOf } from '../../src/block/payload.js';
import { REPLAY_ENTRY_BYTES } from '../../src/limits.js';
import { FLAG, KIND } from '../../src/protocol/kinds.js';
import type { Credit } from '../../src/protocol/messages.js';
import { Model, RESEND_TIMEOUT_MS, type Step } from './engine-model.js';
import { command, type NamedCommand } from './engine-support.js';
import { DISK_BYTES } from './model-export.js';

const CREDIT_BYTES_MAX = 1000;
const RUNS = 60;
const STEPS_MAX = 400;

const pick = fc.nat(1 << 20);
const credit: fc.Arbitrary<Credit> = fc.record({
  transactions: fc.integer({ min: 1, max: 8 }),
  bytes: fc.integer({ min: 1, max: CREDIT_BYTES_MAX }),
  window: fc.integer({ min: 1, max: 32 }),
});

/** What it writes tells it from all others. */
let writes = 0;
const change = fc
  .record({
    kind: fc.constantFrom(KIND.write, KIND.write, KIND.write, KIND.trim),
    offset: fc.nat(DISK_BYTES - 1),
    lengthBytes: fc.integer({ min: 1, max: 6 }),
    creditBytes: fc.nat(CREDIT_BYTES_MAX / 4),
    fua: fc.boolean(),
  })
  .map(({ kind, offset, lengthBytes, creditBytes, fua }): NamedCommand => {
    const payload = kind === KIND.write ? payloadOf([Buffer.from(`w${++writes}`)]) : undefined;
    const flags = fua ? FLAG.fua : 0;
    const end = Math.min(DISK_BYTES, offset + lengthBytes);
    const credit = payload === undefined ? 0 : creditBytes;
    return {
      name: 0,
      kind,
      flags,
      offset,
      lengthBytes: end - offset,
      creditBytes: credit,
      payload,
    };
  });
const read = fc.nat(CREDIT_BYTES_MAX * 2).map((bytes) => command(0, bytes));
const flush = fc.constant({ ...command(0), kind: KIND.flush });

function steps(weight: number, kind: Step['kind'], more: Record<string, fc.Arbitrary<unknown>>) {
  const arbitrary = fc.record({ kind: fc.constant(kind), ...more }) as fc.Arbitrary<Step>;
  return { weight, arbitrary };
}

const step: fc.Arbitrary<Step> = fc.oneof(
  steps(16, 'submit', { command: change }),
  steps(4, 'submit', { command: read }),
  steps(2, 'submit', { command: flush }),
  steps(8, 'deliver', { pick }),
  steps(20, 'reply', { pick }),
  steps(4, 'corrupt', { pick }),
  steps(2, 'working', { pick }),
  steps(4, 'connect', { credit }),
  steps(1, 'disconnect', {}),
  steps(1, 'restart', {}),
  steps(1, 'reboot', { survivors: fc.nat(2 ** DISK_BYTES - 1) }),
  steps(5, 'time', { elapsedMs: fc.nat(1.5 * RESEND_TIMEOUT_MS) }),
);
/** Rare, since nothing can be known of what it ends. */
const anyStep = fc.oneof({ weight: 100, arbitrary: step }, steps(1, 'fail all', {}));

for (const maxResends of [0, 2, Number.POSITIVE_INFINITY]) {
  for (const keptChanges of [0, 1, 8, 1000]) {
    const about = `${maxResends} resends, ${keptChanges} changes kept`;
    // On a failure fast-check prints the seed and the path that replay it.
    test(`whatever happens, commands end once and nothing acked is lost (${about})`, () => {
      const replayBufferBytes = keptChanges * (REPLAY_ENTRY_BYTES + CREDIT_BYTES_MAX / 8);
      fc.assert(
        fc.property(
          fc.array(anyStep, { maxLength: STEPS_MAX, size: 'max' }),
          fc.boolean(),
          (taken, batches) => {
            const model = new Model(maxResends, replayBufferBytes, batches);
            // A bound of 0 promises nothing when a machine goes down.
            const survivable =
              keptChanges === 0 ? taken.filter(({ kind }) => kind !== 'reboot') : taken;
            for (const each of survivable) model.take(each);
            model.finish();
          },
        ),
        { numRuns: RUNS },
      );
    });
  }
}
