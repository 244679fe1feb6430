/**
 * One flipped bit in a frame's header. Checksums are over payloads: what of a header they do not
 * cover is the transport's to protect (docs/SECURITY.md, "Flipped bits"), and is named here.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import { DstError } from '../../src/errors.js';
import { ExportServer } from '../../src/export/server.js';
import { silentLog } from '../../src/log.js';
import { KIND } from '../../src/protocol/kinds.js';
import { type Damage, MemoryNetwork, type Sender } from '../../src/transport/memory.js';
import { loadChecksum } from '../../wasm/checksums.js';
import { pattern, read, write } from '../client/support.js';
import { ends, VirtualClock } from '../support/virtual-time.js';

const CHECKSUM = 'crc32c';
const DEVICE_BYTES = 64 * 1024;
const BLOCK_BYTES = 4096;
const BLOCK_AT = 8192;
const LIMIT_MS = 120_000;

/** By their place in the header. */
const REQUEST_FIELDS = [
  'kind',
  'transaction',
  'flags',
  'payload length',
  'retired',
  'offset',
  'length',
  'checksum',
] as const;
const REPLY_FIELDS = ['kind', 'transaction', 'errno', 'payload length', 'checksum'] as const;

type Field = (typeof REQUEST_FIELDS)[number] | (typeof REPLY_FIELDS)[number] | 'frame';

/** What a write may do elsewhere, or not at all, where one of these is another. */
const NOT_COVERED_OF_WRITE: ReadonlySet<Field> = new Set([
  'kind',
  'transaction',
  'flags',
  'offset',
]);
/** A read's answer says nothing of where it is from. */
const NOT_COVERED_OF_READ: ReadonlySet<Field> = new Set(['kind', 'offset']);
const NOTHING: ReadonlySet<Field> = new Set();

/** Flips one bit of the first frame of that kind, and notes in which field it lies. */
class HeaderFlip implements Damage {
  readonly #sender: Sender;
  readonly #kind: number;
  readonly #bit: number;
  field: Field | undefined;
  headerBits = 0;

  constructor(sender: Sender, kind: number, bit: number) {
    this.#sender = sender;
    this.#kind = kind;
    this.#bit = bit;
  }

  onTheWay(bytes: Buffer, sender: Sender): Buffer {
    if (sender !== this.#sender || this.field !== undefined || bytes[2] !== this.#kind) {
      return bytes;
    }
    const at = this.#bit >> 3;
    this.headerBits = (1 + (bytes[0] ?? 0)) * 8;
    this.field = fieldAt(bytes, at);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (this.#bit & 7));
    return bytes;
  }
}

/** The field of the header in which a byte lies; "frame" for what holds the fields together. */
function fieldAt(bytes: Buffer, at: number): Field {
  const names = bytes[1] === 0x98 ? REQUEST_FIELDS : REPLY_FIELDS;
  let next = 2;
  for (const name of names) {
    const end = next + elementBytes(bytes, next);
    if (at >= next && at < end) return name;
    next = end;
  }
  return 'frame';
}

/** Of what our encoder writes in a header: integers that are not negative, and a bin 8. */
function elementBytes(bytes: Buffer, at: number): number {
  const type = bytes[at] ?? 0;
  if (type < 0x80) return 1;
  if (type === 0xc4) return 2 + (bytes[at + 1] ?? 0);
  const widths: Readonly<Record<number, number>> = { 204: 2, 205: 3, 206: 5, 203: 9, 207: 9 };
  const width = widths[type];
  if (width === undefined) throw new Error(`a header with 0x${type.toString(16)}`);
  return width;
}

interface Outcome {
  readonly flip: HeaderFlip;
  /** The whole device, afterwards. */
  readonly stored: Buffer;
  /** What the read gave; undefined where it failed, and for a write. */
  readonly data: Buffer | undefined;
  readonly error: DstError | undefined;
}

const BEFORE = pattern(DEVICE_BYTES, 1);
const BLOCK = pattern(BLOCK_BYTES, 2);

/** A write or a read of one block, during which that bit flips. */
async function withFlip(flip: HeaderFlip, command: 'write' | 'read'): Promise<Outcome> {
  const clock = new VirtualClock();
  const network = new MemoryNetwork({
    schedule: (task, delayMs) => clock.after(delayMs, task),
    delayMs: () => 1,
    damage: flip,
  });
  const device = new MemoryDevice(DEVICE_BYTES);
  await write(device, 0, BEFORE);
  const stores = [{ name: 'vol', device }];
  const server = new ExportServer({ stores, checksums: [CHECKSUM], log: silentLog, clock });
  server.attach(network.listen());
  const connecting = RemoteDevice.connect({
    dial: (request) => network.dial(request),
    exportName: 'vol',
    checksums: [CHECKSUM],
    readOnly: false,
    log: silentLog,
    clock,
    random: () => 0.5,
    maxResends: 3,
  });
  const remote = await ends(clock, connecting, 'the connection');
  const running =
    command === 'write' ? write(remote, BLOCK_AT, BLOCK) : read(remote, BLOCK_AT, BLOCK_BYTES);
  const settled = running.then(
    (data) => ({ data: data ?? undefined, error: undefined }),
    (error: unknown) => {
      if (!(error instanceof DstError)) throw error;
      return { data: undefined, error };
    },
  );
  const { data, error } = await ends(clock, settled, 'the command', LIMIT_MS);
  const stored = await read(device, 0, DEVICE_BYTES);
  network.cut();
  return { flip, stored, data, error };
}

/** Runs a command once for each bit of the header of its frame. */
async function forEachBit(
  sender: Sender,
  kind: number,
  command: 'write' | 'read',
  check: (outcome: Outcome) => void,
): Promise<void> {
  await loadChecksum(CHECKSUM);
  const seen = new Set<Field>();
  for (let bit = 0, bits = 1; bit < bits; bit++) {
    const flip = new HeaderFlip(sender, kind, bit);
    const outcome = await withFlip(flip, command);
    assert.ok(flip.field !== undefined, 'no such frame was sent');
    bits = flip.headerBits;
    seen.add(flip.field);
    try {
      check(outcome);
    } catch (cause) {
      throw new Error(`bit ${bit}, in ${flip.field}`, { cause });
    }
  }
  const fields = command === 'write' || sender === 'client' ? REQUEST_FIELDS : REPLY_FIELDS;
  assert.ok(seen.size >= Math.min(fields.length, 5), [...seen].join());
}

function writeChecker(notCovered: ReadonlySet<Field>) {
  const after = Buffer.from(BEFORE);
  BLOCK.copy(after, BLOCK_AT);
  return ({ flip, stored, error }: Outcome) => {
    if (flip.field !== undefined && notCovered.has(flip.field)) return;
    if (error === undefined) assert.ok(stored.equals(after), 'acked, and not on the disk');
    else assert.ok(stored.equals(after) || stored.equals(BEFORE), 'written where it was not to');
  };
}

function readChecker(notCovered: ReadonlySet<Field>) {
  const expected = BEFORE.subarray(BLOCK_AT, BLOCK_AT + BLOCK_BYTES);
  return ({ flip, stored, data }: Outcome) => {
    if (flip.field !== undefined && notCovered.has(flip.field)) return;
    assert.ok(stored.equals(BEFORE), 'a read wrote');
    assert.ok(data === undefined || data.equals(expected), 'wrong data');
  };
}

test('a bit that flips in the header of a write', () =>
  forEachBit('client', KIND.write, 'write', writeChecker(NOT_COVERED_OF_WRITE)));

test('a bit that flips in the header of the answer to a write', () =>
  forEachBit('export', KIND.done, 'write', writeChecker(NOTHING)));

test('a bit that flips in the header of a read', () =>
  forEachBit('client', KIND.read, 'read', readChecker(NOT_COVERED_OF_READ)));

test('a bit that flips in the header of what was read', () =>
  forEachBit('export', KIND.data, 'read', readChecker(NOTHING)));
