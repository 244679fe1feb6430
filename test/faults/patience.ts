/** Waits with bounds: whatever takes longer than its bound hangs, and fails by name. */
import { setTimeout as sleep } from 'node:timers/promises';
import { resolvesWithin } from '../../src/within.js';

const POLL_MS = 10;

/** Polls until the condition holds; rejects past the patience. */
export async function eventually(
  condition: () => boolean,
  patienceMs: number,
  what: string,
): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw tooLong(what, patienceMs);
    await sleep(POLL_MS);
  }
}

/** Waits for a promise; rejects past the patience. */
export async function patiently(
  promise: Promise<unknown>,
  patienceMs: number,
  what: string,
): Promise<void> {
  if (!(await resolvesWithin(promise, patienceMs))) throw tooLong(what, patienceMs);
}

/** How long a fault lasts. Not for waiting until something has happened. */
export function lasting(durationMs: number): Promise<void> {
  return sleep(durationMs);
}

function tooLong(what: string, patienceMs: number): Error {
  return new Error(`waited ${patienceMs} ms for ${what}`);
}
