import assert from 'node:assert/strict';
import { overlap } from '../../src/block/overlap.js';
import type { Credit } from '../../src/protocol/messages.js';
import { changes, type Transmit } from '../../src/transaction/command.js';
import {
  done,
  type Engine,
  type NamedCommand,
  newEngine,
  OWN,
  transmits,
} from './engine-support.js';
import { DISK_BYTES, leftBy, ModelExport } from './model-export.js';

export const RESEND_TIMEOUT_MS = 100;

/** `pick` chooses among what is there when the step is taken. */
export type Step =
  | { readonly kind: 'submit'; readonly command: Omit<NamedCommand, 'name'> }
  | { readonly kind: 'deliver' | 'reply' | 'corrupt' | 'working'; readonly pick: number }
  | { readonly kind: 'connect'; readonly credit: Credit }
  | { readonly kind: 'disconnect' | 'restart' | 'fail all' }
  | { readonly kind: 'reboot'; readonly survivors: number }
  | { readonly kind: 'time'; readonly elapsedMs: number };

/** A copy of a transaction on the current connection; what came before is fenced. */
interface Copy {
  readonly sent: Transmit<NamedCommand>;
  /** The export has carried it out, and its answer is on its way. */
  delivered: boolean;
}

/** A change that a caller asked for, in the order in which callers did. */
interface Change {
  readonly command: NamedCommand;
  outcome: 'open' | 'acked' | 'unknown';
}

/** A slot may carry several transactions, and a transaction be on several slots. */
function keyOf({ slot, transaction }: Transmit<NamedCommand>): string {
  return `${slot}:${transaction}`;
}

/** The engine beside an export, and what must be true of both, whatever happens. */
export class Model {
  readonly engine: Engine;
  readonly #keepsBytes: number;
  readonly #maxResends: number;
  readonly #export = new ModelExport();
  readonly #waiting = new Set<number>();
  readonly #changes = new Map<number, Change>();
  /** Of each id, how often it was sent. */
  readonly #sends = new Map<number, number>();
  readonly #answered = new Set<number>();
  #credit: Credit | undefined;
  readonly #batches: boolean;
  /** By `keyOf`. */
  readonly #copies = new Map<string, Copy>();
  #cacheLost = false;
  #highestId = 0;
  #submitted = 0;
  #nowMs = 0;

  constructor(maxResends: number, replayBufferBytes: number, batches: boolean) {
    this.#batches = batches;
    this.#maxResends = maxResends;
    this.#keepsBytes = replayBufferBytes;
    this.engine = newEngine({ resendTimeoutMs: RESEND_TIMEOUT_MS, maxResends, replayBufferBytes });
  }

  take(step: Step): void {
    this.#happen(step);
    this.#send();
    // As a session does: the next connection fences what may still arrive.
    if (this.engine.mustReconnect) this.#disconnect();
    this.#end();
    this.#check();
  }

  /** With a connection that works everything ends; then no machine's loss loses what was acked. */
  finish(): void {
    this.#drain();
    this.#checkDisk();
    if (this.#keepsBytes === 0) return;
    this.take({ kind: 'reboot', survivors: 0 });
    this.#drain();
    this.#checkDisk();
  }

  #happen(step: Step): void {
    const { engine } = this;
    switch (step.kind) {
      case 'submit':
        this.#submit({ ...step.command, name: this.#submitted++ });
        break;
      case 'deliver':
        this.#deliver(this.#pick(step.pick));
        break;
      case 'reply':
        this.#reply(this.#pick(step.pick));
        break;
      case 'corrupt': {
        const copy = this.#pick(step.pick);
        if (copy === undefined) break;
        this.#copies.delete(keyOf(copy.sent));
        engine.handleCorrupt(copy.sent.slot, copy.sent.transaction);
        break;
      }
      case 'working':
        engine.handleWorking([step.pick % (this.#highestId + 2)], this.#nowMs);
        break;
      case 'connect':
        this.#connect(step.credit);
        break;
      case 'disconnect':
        this.#disconnect();
        break;
      case 'restart':
        this.#export.restart();
        this.#disconnect();
        break;
      case 'reboot':
        this.#export.reboot((at) => ((step.survivors >> at) & 1) === 1);
        this.#cacheLost = true;
        this.#disconnect();
        break;
      case 'time':
        this.#nowMs += step.elapsedMs;
        engine.handleTimeout(this.#nowMs);
        break;
      case 'fail all':
        engine.failAll(new Error('all'));
        // As a session does: nothing follows on the same connection.
        this.#disconnect();
        break;
    }
  }

  #submit(command: NamedCommand): void {
    this.#waiting.add(command.name);
    if (changes(command)) {
      // A copy, since the engine puts another payload in the place of this one.
      this.#changes.set(command.name, { command: { ...command }, outcome: 'open' });
    }
    this.engine.submit(command, this.#nowMs);
  }

  #connect(credit: Credit): void {
    const { engine } = this;
    const kept = engine.unflushedBytes > 0;
    const replaying = engine.replaying;
    this.#credit = credit;
    this.#copies.clear();
    engine.handleConnected(credit, this.#cacheLost, this.#nowMs);
    assert.equal(engine.replaying, replaying || (this.#cacheLost && kept));
    this.#cacheLost = false;
  }

  #disconnect(): void {
    this.#credit = undefined;
    this.#copies.clear();
    this.engine.handleDisconnected(this.#nowMs);
  }

  #pick(pick: number): Copy | undefined {
    return [...this.#copies.values()][pick % this.#copies.size];
  }

  #deliver(copy: Copy | undefined): void {
    if (copy === undefined || copy.delivered) return;
    this.#export.execute(copy.sent);
    copy.delivered = true;
  }

  #reply(copy: Copy | undefined): void {
    if (copy === undefined) return;
    this.#deliver(copy);
    this.#copies.delete(keyOf(copy.sent));
    this.#answered.add(copy.sent.transaction);
    this.engine.handleReply(copy.sent.slot, done(copy.sent.transaction), this.#nowMs);
  }

  #send(): void {
    const busy = new Set([...this.#copies.values()].map(({ sent }) => sent.slot));
    for (const sent of transmits(this.engine, this.#nowMs, this.#batches)) {
      assert.ok(!busy.has(sent.slot), 'a slot used before all that it carries was answered');
      if (!this.#batches) busy.add(sent.slot);
      this.#checkSend(sent);
      this.#copies.set(keyOf(sent), { sent, delivered: false });
    }
  }

  #checkSend({ command, transaction, retired, slot }: Transmit<NamedCommand>): void {
    assert.ok(this.#credit !== undefined, 'sent without a connection');
    assert.ok(command.name === OWN || this.#waiting.has(command.name), 'sent after its end');
    assert.ok(slot < this.#credit.transactions, 'more slots than credit');
    assert.ok(retired <= transaction, 'retired before its end');
    assert.ok(transaction - retired < this.#credit.window, 'outside the window');
    if (this.engine.replaying) assert.equal(command.name, OWN, 'sent before the end of a replay');
    const times = (this.#sends.get(transaction) ?? 0) + 1;
    if (times === 1) assert.ok(transaction > this.#highestId, 'an id that was used before');
    if (command.name !== OWN) assert.ok(times <= this.#maxResends + 1, 'sent too often');
    this.#sends.set(transaction, times);
    this.#highestId = Math.max(this.#highestId, transaction);
    for (const { sent: other } of this.#copies.values()) {
      // A late copy of what was answered is answered from the table, or refused.
      if (this.#answered.has(other.transaction) || other.transaction === transaction) continue;
      const both = changes(command) && changes(other.command);
      assert.ok(!both || !overlap(command, other.command), 'changes that overlap sent at once');
    }
  }

  #end(): void {
    for (const { command, error } of this.engine.takeCompletions()) {
      if (command.name === OWN) continue;
      assert.ok(this.#waiting.delete(command.name), 'ended twice');
      const change = this.#changes.get(command.name);
      if (change !== undefined) change.outcome = error === undefined ? 'acked' : 'unknown';
    }
  }

  #check(): void {
    const { engine } = this;
    let bytes = 0;
    for (const { sent } of this.#copies.values()) bytes += sent.command.creditBytes;
    assert.equal(engine.inFlight, this.#copies.size);
    assert.equal(engine.inFlightBytes, bytes);
    assert.equal(engine.unfinished, this.#waiting.size);
    if (this.#credit === undefined) return;
    assert.ok(engine.inFlight <= this.#credit.transactions);
    assert.ok(engine.inFlight <= 1 || bytes <= this.#credit.bytes);
    if (engine.unfinished === 0) return;
    assert.ok(engine.inFlight > 0, 'stuck with a connection');
    assert.ok(engine.nextTimeoutMs(this.#nowMs) !== undefined || engine.overdue(this.#nowMs));
  }

  #drain(): void {
    this.take({ kind: 'connect', credit: { transactions: 2, bytes: 1, window: 1 } });
    while (this.#copies.size > 0) this.take({ kind: 'reply', pick: 0 });
    assert.equal(this.#waiting.size, 0, 'every command ends');
    assert.equal(this.engine.retired, this.#highestId + 1);
  }

  /** Each place holds what was acked last, or what was given up since: nobody knows of that. */
  #checkDisk(): void {
    for (let at = 0; at < DISK_BYTES; at++) {
      let allowed = [''];
      for (const { command, outcome } of this.#changes.values()) {
        const touches = command.offset <= at && at < command.offset + command.lengthBytes;
        if (!touches) continue;
        if (outcome === 'acked') allowed = [];
        allowed.push(leftBy(command));
      }
      const found = this.#export.disk[at] ?? '';
      assert.ok(allowed.includes(found), `${found} at ${at}, and not ${allowed.join(' or ')}`);
    }
  }
}
