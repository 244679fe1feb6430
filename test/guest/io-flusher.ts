/**
 * A client executes itself anew unless whoever starts it is an I/O flusher (prctl(2)), which
 * takes the guest as long as all the rest of its start.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import koffi from 'koffi';
import type { Cleanup } from '../support/cleanup.js';

const PR_SET_IO_FLUSHER = 57;
const PR_GET_IO_FLUSHER = 58;

const prctl = koffi
  .load(null)
  .func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)');

/** PF_MEMALLOC_NOIO, in the flags of a thread (proc_pid_stat(5)). */
const NO_IO_FLAG = 0x80000;
const FLAGS_FIELD = 9;

/** Makes this process an I/O flusher, and with it all that it starts from now on; or not. */
export function setIoFlusher(on: boolean): void {
  assert.equal(prctl(PR_SET_IO_FLUSHER, on ? 1 : 0, 0, 0, 0), 0, 'PR_SET_IO_FLUSHER');
}

/** Until the test has ended, what it starts is no I/O flusher by birth. */
export function withoutIoFlusher(t: Cleanup): void {
  const before = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) === 1;
  setIoFlusher(false);
  t.after(() => setIoFlusher(before));
}

/** Whether no thread of a process waits for I/O when it needs memory. */
export function isIoFlusher(processId: number | undefined): boolean {
  const folder = `/proc/${processId}/task`;
  return readdirSync(folder).every((thread) => {
    const fields = readFileSync(`${folder}/${thread}/stat`, 'utf8').split(' ');
    return (Number(fields[FLAGS_FIELD - 1]) & NO_IO_FLAG) !== 0;
  });
}
