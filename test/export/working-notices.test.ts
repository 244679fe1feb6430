import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../src/clock.js';
import { WorkingNotices } from '../../src/export/working-notices.js';
import { WORKING_NOTICE_AFTER_MS, WORKING_NOTICE_INTERVAL_MS } from '../../src/limits.js';
import { writeOf } from '../support/raw-client.js';
import { soon } from '../support/wait.js';
import { newExport } from './support.js';

/** A clock that a test moves, with the one timer that is running. */
class OneTimerClock implements Clock {
  #nowMs = 0;
  #timer: { atMs: number; task: () => void } | undefined;

  get armed(): boolean {
    return this.#timer !== undefined;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  endOfTurn(task: () => void): void {
    setImmediate(task);
  }

  after(delayMs: number, task: () => void) {
    assert.equal(this.#timer, undefined, 'one timer at a time');
    const timer = { atMs: this.#nowMs + delayMs, task };
    this.#timer = timer;
    return {
      cancel: () => {
        if (this.#timer === timer) this.#timer = undefined;
      },
    };
  }

  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    while (this.#timer !== undefined && this.#timer.atMs <= endMs) {
      const { atMs, task } = this.#timer;
      this.#timer = undefined;
      this.#nowMs = atMs;
      task();
    }
    this.#nowMs = endMs;
  }
}

function newNotices() {
  const clock = new OneTimerClock();
  const sent: number[][] = [];
  const notices = new WorkingNotices(clock, (transactions) => sent.push(transactions));
  return { clock, sent, notices };
}

test('what has been in progress for long is told, and again until it ends', () => {
  const { clock, sent, notices } = newNotices();
  notices.began(1);
  clock.advance(WORKING_NOTICE_AFTER_MS - 1);
  assert.deepEqual(sent, []);
  notices.began(2);
  clock.advance(1);
  assert.deepEqual(sent, [[1]]);
  clock.advance(WORKING_NOTICE_INTERVAL_MS);
  assert.deepEqual(sent, [[1], [1]]);
  notices.ended(1);
  clock.advance(2 * WORKING_NOTICE_INTERVAL_MS);
  assert.deepEqual(sent.at(-1), [2]);
});

test('it is told before its client suspects anything, whenever it began', () => {
  for (let offsetMs = 0; offsetMs <= WORKING_NOTICE_INTERVAL_MS; offsetMs += 10) {
    const { clock, sent, notices } = newNotices();
    notices.began(1);
    clock.advance(offsetMs);
    notices.ended(1);
    notices.began(2);
    clock.advance(900);
    assert.ok(sent.length > 0, `${offsetMs}`);
  }
});

test('quick commands are not told, and the timer stops after the last', () => {
  const { clock, sent, notices } = newNotices();
  for (let transaction = 0; transaction < 100; transaction++) {
    notices.began(transaction);
    clock.advance(10);
    notices.ended(transaction);
  }
  assert.equal(clock.armed, true);
  clock.advance(WORKING_NOTICE_INTERVAL_MS);
  assert.equal(clock.armed, false);
  assert.deepEqual(sent, []);
  notices.began(100);
  assert.equal(clock.armed, true);
});

test('a copy does not make what is in progress younger', () => {
  const { clock, sent, notices } = newNotices();
  notices.began(1);
  clock.advance(WORKING_NOTICE_AFTER_MS - 1);
  notices.began(1);
  clock.advance(1);
  assert.deepEqual(sent, [[1]]);
});

test('nothing is told of a connection that has ended', () => {
  const { clock, sent, notices } = newNotices();
  notices.began(1);
  notices.stop();
  clock.advance(10 * WORKING_NOTICE_AFTER_MS);
  assert.deepEqual(sent, []);
  assert.equal(clock.armed, false);
});

test('a client hears of its slow command, and of its answer', async (t) => {
  const { connect, device } = newExport(t);
  const client = await connect();
  await client.welcome();
  const hold = device.hold(({ name }) => name === 'write');
  const stream = client.open();
  stream.send(writeOf(7, 0, Buffer.from('slow')));
  await soon(hold.arrived, 'the write');
  for (let i = 0; i < 2; i++) {
    assert.deepEqual((await client.notice('working')).transactions, [7]);
  }
  hold.release();
  assert.equal((await stream.reply()).errno, 0);
});
