import type { ReplyFrame } from '../../src/protocol/frame.js';
import { FLAG, KIND } from '../../src/protocol/kinds.js';
import { type Command, changes, type Transmit } from '../../src/transaction/command.js';
import { done, failed, type NamedCommand, textOf } from './engine-support.js';

export const DISK_BYTES = 16;

/**
 * An export as the engine relies on it: one session with its table, on a disk with a cache
 * that may be lost. Each place of the disk holds what was written there as a whole text, so
 * that it tells which change was the last.
 */
export class ModelExport {
  #disk: string[] = new Array(DISK_BYTES).fill('');
  #durable: string[] = new Array(DISK_BYTES).fill('');
  #answers = new Map<number, ReplyFrame>();
  #retired = 0;

  get disk(): readonly string[] {
    return this.#disk;
  }

  /** Carries out one copy of a request; the answer to it. */
  execute({ command, transaction, retired }: Transmit<NamedCommand>): ReplyFrame {
    this.#retire(retired);
    if (command.kind === KIND.flush) this.#durable = [...this.#disk];
    if (!changes(command)) return done(transaction);
    if (transaction < this.#retired) return failed(transaction);
    const known = this.#answers.get(transaction);
    if (known !== undefined) return known;
    const { offset, lengthBytes, flags } = command;
    const fill = (places: string[]) => places.fill(leftBy(command), offset, offset + lengthBytes);
    fill(this.#disk);
    if ((flags & FLAG.fua) !== 0) fill(this.#durable);
    const answer = done(transaction);
    this.#answers.set(transaction, answer);
    return answer;
  }

  /** Another process, after its machine went down: some of what was not flushed is lost. */
  reboot(survives: (at: number) => boolean): void {
    this.#disk = this.#disk.map((value, at) => (survives(at) ? value : (this.#durable[at] ?? '')));
    this.#durable = [...this.#disk];
    this.restart();
  }

  /** Another process, on the same machine. */
  restart(): void {
    this.#answers = new Map();
    this.#retired = 0;
  }

  #retire(below: number): void {
    if (below <= this.#retired) return;
    this.#retired = below;
    for (const id of this.#answers.keys()) if (id < below) this.#answers.delete(id);
  }
}

/** What a change leaves in each place of its range. */
export function leftBy(command: Command): string {
  return command.kind === KIND.write ? textOf(command) : '';
}
