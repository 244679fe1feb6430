import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ANSWER_SLOW_MS,
  ANSWER_SWIFT_MS,
  BYTE_WINDOW_INITIAL_BYTES,
  BYTE_WINDOW_MAX_BYTES,
  BYTE_WINDOW_MIN_BYTES,
  SUSPECT_AFTER_MIN_MS,
} from '../../src/limits.js';
import { ByteWindow } from '../../src/transaction/byte-window.js';
import { answer, command, connectedEngine, names, PLENTY, transmits } from './engine-support.js';

const SWIFT_MS = ANSWER_SWIFT_MS - 1;
const SLOW_MS = ANSWER_SLOW_MS + 1;
/** On its way besides: enough for any window to be the limit. */
const MUCH = BYTE_WINDOW_MAX_BYTES;

test('the window grows by what was moved swiftly, up to its bound', () => {
  const window = new ByteWindow();
  window.onAnswer(1000, MUCH, SWIFT_MS, 500);
  assert.equal(window.bytes, BYTE_WINDOW_INITIAL_BYTES + 1000);
  for (let round = 0; round < 1000; round++) window.onAnswer(1 << 20, MUCH, SWIFT_MS, 500);
  assert.equal(window.bytes, BYTE_WINDOW_MAX_BYTES);
});

test('a window that is not half used does not grow', () => {
  const window = new ByteWindow();
  window.onAnswer(1000, BYTE_WINDOW_INITIAL_BYTES / 2 - 1001, SWIFT_MS, 500);
  assert.equal(window.bytes, BYTE_WINDOW_INITIAL_BYTES);
  window.onAnswer(1000, BYTE_WINDOW_INITIAL_BYTES / 2 - 1000, SWIFT_MS, 500);
  assert.equal(window.bytes, BYTE_WINDOW_INITIAL_BYTES + 1000);
});

test('of several lanes a slow answer costs one its share, and each keeps what one has', () => {
  const window = new ByteWindow();
  window.lanes = 2;
  window.onAnswer(1000, MUCH, SLOW_MS, 1000);
  assert.equal(window.bytes, (3 / 4) * BYTE_WINDOW_INITIAL_BYTES);
  for (let round = 2; round < 100; round++) window.onAnswer(1000, MUCH, SLOW_MS, 1000 * round);
  assert.equal(window.bytes, 2 * BYTE_WINDOW_MIN_BYTES);
});

test('the window halves when an answer is slow, down to its bound', () => {
  const window = new ByteWindow();
  window.onAnswer(1000, MUCH, SLOW_MS, 1000);
  assert.equal(window.bytes, BYTE_WINDOW_INITIAL_BYTES / 2);
  for (let round = 2; round < 100; round++) window.onAnswer(1000, MUCH, SLOW_MS, 1000 * round);
  assert.equal(window.bytes, BYTE_WINDOW_MIN_BYTES);
});

test('answers that are neither leave it as it is', () => {
  const window = new ByteWindow();
  window.onAnswer(1000, MUCH, ANSWER_SWIFT_MS, 1000);
  window.onAnswer(1000, MUCH, ANSWER_SLOW_MS, 1000);
  assert.equal(window.bytes, BYTE_WINDOW_INITIAL_BYTES);
});

test('slow answers to what was sent before it shrank do not shrink it again', () => {
  const window = new ByteWindow();
  window.onAnswer(1000, MUCH, SLOW_MS, 1000);
  window.onAnswer(1000, MUCH, SLOW_MS + 10, 1010);
  window.onAnswer(1000, MUCH, 1500, 2400);
  assert.equal(window.bytes, BYTE_WINDOW_INITIAL_BYTES / 2);
  window.onAnswer(1000, MUCH, SLOW_MS, 1000 + SLOW_MS);
  assert.equal(window.bytes, BYTE_WINDOW_INITIAL_BYTES / 4);
});

test('the engine sends what fits the window, and more as swift answers come', () => {
  const part = BYTE_WINDOW_INITIAL_BYTES / 4;
  const engine = connectedEngine();
  for (let name = 0; name < 12; name++) engine.submit(command(name, part), 0);
  const sent = transmits(engine);
  assert.deepEqual(names(sent), [0, 1, 2, 3]);
  answer(engine, sent[0], SWIFT_MS);
  assert.deepEqual(names(transmits(engine, SWIFT_MS)), [4, 5]);
  answer(engine, sent[1], SLOW_MS);
  assert.deepEqual(transmits(engine, SLOW_MS), []);
});

test('a connection that ends with late answers halves what the next one starts with', () => {
  const engine = connectedEngine();
  const half = BYTE_WINDOW_INITIAL_BYTES / 2;
  engine.submit(command(0, half), 0);
  engine.submit(command(1, half), 0);
  assert.equal(transmits(engine).length, 2);
  engine.handleConnected(PLENTY, false, SUSPECT_AFTER_MIN_MS);
  assert.deepEqual(names(transmits(engine, SUSPECT_AFTER_MIN_MS)), [0]);
});

test('commands that move nothing do not wait for the window', () => {
  const engine = connectedEngine();
  engine.submit(command(0, BYTE_WINDOW_INITIAL_BYTES), 0);
  engine.submit(command(1, 0), 0);
  engine.submit(command(2, 1), 0);
  assert.deepEqual(names(transmits(engine)), [0, 1]);
});
