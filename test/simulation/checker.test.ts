import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Checker, Violation } from './checker.js';

const BLOCK = 0;

/** A checker of one block, with the steps that the tests are made of. */
class Steps {
  readonly checker = new Checker(1);

  begin(value: number, client = 'client') {
    return this.checker.beginWrite(client, BLOCK, [value]);
  }

  write(value: number, acked = true): void {
    this.checker.endWrite(this.begin(value), acked);
  }

  read(value: number | undefined): void {
    this.checker.endRead(this.checker.beginRead(BLOCK, 1), [value]);
  }

  refuses(value: number | undefined): void {
    assert.throws(() => this.read(value), Violation);
  }
}

test('a block that nobody wrote holds zeroes', () => {
  const steps = new Steps();
  steps.read(0);
  steps.refuses(1);
});

test('an acked write stays, and what was before never comes back', () => {
  const steps = new Steps();
  steps.write(1);
  steps.write(2);
  steps.read(2);
  steps.refuses(1);
});

test('while a write is in progress, either value may be there', () => {
  const steps = new Steps();
  steps.write(1);
  steps.begin(2);
  steps.read(2);
  steps.read(1);
});

test('a write that begins during a read may be what the read returns', () => {
  const steps = new Steps();
  const read = steps.checker.beginRead(BLOCK, 1);
  steps.write(1);
  steps.checker.endRead(read, [1]);
});

test('a read in progress may return what an ack has replaced meanwhile', () => {
  const steps = new Steps();
  const read = steps.checker.beginRead(BLOCK, 1);
  steps.write(1);
  steps.write(2);
  steps.checker.endRead(read, [0]);
});

test('a failed write may have happened, and come undone, until the next is acked', () => {
  const steps = new Steps();
  steps.write(1);
  steps.write(2, false);
  steps.read(2);
  steps.read(1);
  steps.write(3);
  steps.refuses(2);
});

test('of two writes at the same time either may win, and then it stays', () => {
  const steps = new Steps();
  const one = steps.begin(1);
  const other = steps.begin(2);
  steps.checker.endWrite(one, true);
  steps.checker.endWrite(other, true);
  steps.read(1);
  steps.refuses(2);
});

test('a write of a client that was fenced never lands on what was written since', () => {
  const steps = new Steps();
  const late = steps.begin(1, 'fenced');
  steps.checker.fence('fenced');
  steps.write(2);
  steps.checker.endWrite(late, true);
  steps.refuses(1);
});

test('a block that is a mixture is always wrong', () => {
  new Steps().refuses(undefined);
});
