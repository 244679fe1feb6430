import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Credit } from '../../src/protocol/messages.js';
import type { Transmit } from '../../src/transaction/command.js';
import { TransactionEngine } from '../../src/transaction/engine.js';
import { command, completions, done, type NamedCommand, transmits } from './engine-support.js';

const RESEND_TIMEOUT_MS = 100;
const CREDIT_BYTES_MAX = 1000;
const RUNS = 60;
const STEPS_MAX = 400;

/** `pick` chooses among what is there when the step is taken. */
type Step =
  | { readonly kind: 'submit'; readonly creditBytes: number }
  | { readonly kind: 'reply' | 'corrupt' | 'late reply'; readonly pick: number }
  | { readonly kind: 'connect'; readonly credit: Credit }
  | { readonly kind: 'disconnect' | 'fail all' }
  | { readonly kind: 'time'; readonly elapsedMs: number };

const pick = fc.nat(1 << 20);
const credit: fc.Arbitrary<Credit> = fc.record({
  transactions: fc.integer({ min: 1, max: 8 }),
  bytes: fc.integer({ min: 1, max: CREDIT_BYTES_MAX }),
  window: fc.integer({ min: 1, max: 32 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      creditBytes: fc.nat(CREDIT_BYTES_MAX * 2),
    }),
  },
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('reply' as const), pick }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('corrupt' as const), pick }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('late reply' as const), pick }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('connect' as const), credit }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('disconnect' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('time' as const), elapsedMs: fc.nat(150) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail all' as const) }) },
);

/** The engine beside what must be true of it, whatever happens. */
class Model {
  readonly engine: TransactionEngine<NamedCommand>;
  readonly #maxResends: number;
  #credit: Credit | undefined;
  #inFlight = new Map<number, Transmit<NamedCommand>>();
  readonly #waiting = new Set<number>();
  readonly #sends = new Map<number, number>();
  #submitted = 0;
  #nowMs = 0;

  constructor(maxResends: number) {
    this.#maxResends = maxResends;
    this.engine = new TransactionEngine({ resendTimeoutMs: RESEND_TIMEOUT_MS, maxResends });
  }

  take(next: Step): void {
    const { engine } = this;
    switch (next.kind) {
      case 'submit':
        this.#waiting.add(this.#submitted);
        engine.submit(command(this.#submitted++, next.creditBytes), this.#nowMs);
        break;
      case 'reply':
      case 'corrupt': {
        const sent = [...this.#inFlight.values()][next.pick % this.#inFlight.size];
        if (sent === undefined) break;
        this.#inFlight.delete(sent.transaction);
        if (next.kind === 'corrupt') engine.handleCorrupt(sent.transaction);
        else assert.ok(engine.handleReply(done(sent.transaction)));
        break;
      }
      case 'late reply': {
        const id = 1 + (next.pick % (this.#submitted + 1));
        if (!this.#inFlight.has(id)) assert.equal(engine.handleReply(done(id)), false);
        break;
      }
      case 'connect':
        this.#credit = next.credit;
        this.#inFlight.clear();
        engine.handleConnected(next.credit, this.#nowMs);
        break;
      case 'disconnect':
        this.#disconnect();
        break;
      case 'time':
        this.#nowMs += next.elapsedMs;
        if (engine.handleTimeout(this.#nowMs)) this.#disconnect();
        break;
      case 'fail all':
        engine.failAll(new Error('all'));
        this.#end();
        // As a session does: nothing follows on the same connection.
        this.#disconnect();
        break;
    }
    this.#send();
    this.#end();
    this.#check();
  }

  /** With a connection that works, everything ends. */
  drain(): void {
    this.take({ kind: 'connect', credit: { transactions: 2, bytes: 1, window: 1 } });
    while (this.#inFlight.size > 0) this.take({ kind: 'reply', pick: 0 });
    assert.equal(this.#waiting.size, 0, 'every command ends');
    assert.equal(this.engine.unfinished, 0);
    assert.equal(this.engine.retired, this.#submitted + 1);
  }

  #disconnect(): void {
    this.#credit = undefined;
    this.#inFlight.clear();
    this.engine.handleDisconnected(this.#nowMs);
  }

  #send(): void {
    for (const sent of transmits(this.engine, this.#nowMs)) {
      const { name } = sent.command;
      assert.ok(this.#credit !== undefined, 'sent without a connection');
      assert.ok(this.#waiting.has(name), 'sent after its end');
      assert.ok(!this.#inFlight.has(sent.transaction), 'sent twice at once');
      assert.ok(sent.transaction - sent.retired < this.#credit.window, 'outside the window');
      const slots = [...this.#inFlight.values()].map(({ slot }) => slot);
      assert.ok(!slots.includes(sent.slot), 'a slot used twice at once');
      assert.ok(sent.slot < this.#credit.transactions, 'more slots than credit');
      const times = (this.#sends.get(name) ?? 0) + 1;
      assert.ok(times <= this.#maxResends + 1, 'sent too often');
      this.#sends.set(name, times);
      this.#inFlight.set(sent.transaction, sent);
    }
  }

  #end(): void {
    for (const { command } of completions(this.engine)) {
      assert.ok(this.#waiting.delete(command.name), 'ended twice');
      for (const [id, sent] of this.#inFlight) {
        if (sent.command === command) this.#inFlight.delete(id);
      }
    }
  }

  #check(): void {
    const { engine } = this;
    let bytes = 0;
    for (const { command } of this.#inFlight.values()) bytes += command.creditBytes;
    assert.equal(engine.inFlight, this.#inFlight.size);
    assert.equal(engine.inFlightBytes, bytes);
    assert.equal(engine.unfinished, this.#waiting.size);
    if (this.#credit === undefined) {
      assert.equal(engine.inFlight, 0);
      return;
    }
    assert.ok(engine.inFlight <= this.#credit.transactions);
    assert.ok(engine.inFlight <= 1 || bytes <= this.#credit.bytes);
    assert.ok(engine.unfinished === 0 || engine.inFlight > 0, 'stuck with a connection');
  }
}

for (const maxResends of [0, 2, Number.POSITIVE_INFINITY]) {
  // On a failure fast-check prints the seed and the path that replay it.
  test(`whatever happens, commands end once and within credit (${maxResends} resends)`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: STEPS_MAX, size: 'max' }), (steps) => {
        const model = new Model(maxResends);
        for (const next of steps) model.take(next);
        model.drain();
      }),
      { numRuns: RUNS },
    );
  });
}
