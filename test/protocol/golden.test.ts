/**
 * The wire format, byte for byte. A change that turns these red is a change of the protocol,
 * which needs docs/PROTOCOL.md, and most likely a version, of its own. UPDATE_FIXTURES=1
 * writes the fixtures anew.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeExtents, encodeExtents } from '../../src/protocol/extents.js';
import { type Frame, isControl, isReply } from '../../src/protocol/frame.js';
import { KIND } from '../../src/protocol/kinds.js';
import { readChallenge, readHello, readProof, readWelcome } from '../../src/protocol/messages.js';
import { loadChecksum } from '../../wasm/checksums.js';
import { fixturePath } from '../support/paths.js';
import { decodePieces, joined } from './collect.js';
import {
  encodeFrame,
  SAMPLE_CONTEXT,
  SAMPLE_EXTENTS,
  SAMPLE_EXTENTS_CRC32C,
  SAMPLE_HELLO,
  SAMPLE_PAYLOAD,
  SAMPLE_PAYLOAD_CRC32C,
  SAMPLE_PROVEN,
  SAMPLE_SECRET,
  SAMPLE_WELCOME,
  SAMPLES,
  type Sample,
} from './samples.js';

const BYTES_PER_LINE = 16;

function fixtureOf(sample: Sample): Buffer {
  const path = fixturePath('frames', `${sample.name}.hex`);
  if (process.env.UPDATE_FIXTURES === '1') writeFileSync(path, toHexFile(sample));
  return fromHexFile(readFileSync(path, 'utf8'));
}

function toHexFile(sample: Sample): string {
  const octets = encodeFrame(sample.frame).toString('hex').match(/../g) ?? [];
  const lines = [`# ${sample.what}`];
  for (let at = 0; at < octets.length; at += BYTES_PER_LINE) {
    lines.push(octets.slice(at, at + BYTES_PER_LINE).join(' '));
  }
  return `${lines.join('\n')}\n`;
}

function fromHexFile(text: string): Buffer {
  return Buffer.from(text.replace(/^#.*$/gm, '').replace(/\s+/g, ''), 'hex');
}

function decodeOne(bytes: Buffer): Frame {
  const [frame, ...more] = decodePieces([bytes]);
  assert.ok(frame !== undefined && more.length === 0);
  return frame;
}

for (const sample of SAMPLES) {
  test(`${sample.name}: encodes to the golden bytes`, () => {
    assert.equal(encodeFrame(sample.frame).toString('hex'), fixtureOf(sample).toString('hex'));
  });

  test(`${sample.name}: the golden bytes decode to the same frame`, () => {
    assert.deepEqual(joined(decodeOne(fixtureOf(sample))), joined(sample.frame));
  });
}

test('there is a fixture of every kind, and no other file', () => {
  const kinds = new Set(SAMPLES.map(({ frame }) => frame.kind));
  assert.deepEqual([...kinds].sort(), Object.values(KIND).sort());
  const files = readdirSync(fixturePath('frames'));
  assert.deepEqual(files.sort(), SAMPLES.map(({ name }) => `${name}.hex`).sort());
});

test('the checksums in the fixtures are those of their payloads', async () => {
  const crc32c = await loadChecksum('crc32c');
  assert.equal(crc32c.digest([SAMPLE_PAYLOAD]).toString('hex'), hex(SAMPLE_PAYLOAD_CRC32C));
  const extents = crc32c.digest([encodeExtents(SAMPLE_EXTENTS)]);
  assert.equal(extents.toString('hex'), hex(SAMPLE_EXTENTS_CRC32C));
});

test('the bodies of the fixtures read as what was written', () => {
  assert.deepEqual(readHello(bodyOf('hello')), SAMPLE_HELLO);
  assert.deepEqual(readWelcome(bodyOf('welcome')), SAMPLE_WELCOME);
  assert.deepEqual(readWelcome(bodyOf('welcome-proven')), SAMPLE_PROVEN);
  assert.deepEqual(readChallenge(bodyOf('challenge')).nonce, SAMPLE_PROVEN.nonce);
  assert.equal(readWelcome(bodyOf('welcome-list')).export, undefined);
  assert.equal(readWelcome(bodyOf('welcome-list')).exports.length, 2);
});

test('the proofs in the fixtures are of the sample secret', () => {
  const { proof } = readProof(bodyOf('proof'));
  assert.ok(SAMPLE_SECRET.verify('client', SAMPLE_CONTEXT, proof));
  const { proof: answer } = readWelcome(bodyOf('welcome-proven'));
  assert.ok(answer !== undefined && SAMPLE_SECRET.verify('export', SAMPLE_CONTEXT, answer));
});

test('the extents of the fixture read as what was written', () => {
  const frame = frameOf('extents');
  assert.ok(isReply(frame));
  assert.deepEqual(decodeExtents(Buffer.concat(frame.payload as Buffer[])), SAMPLE_EXTENTS);
});

function frameOf(name: string): Frame {
  const sample = SAMPLES.find((each) => each.name === name);
  assert.ok(sample !== undefined);
  return decodeOne(fixtureOf(sample));
}

function bodyOf(name: string): Readonly<Record<string, unknown>> {
  const frame = frameOf(name);
  assert.ok(isControl(frame));
  return frame.body;
}

function hex(bytes: Buffer): string {
  return bytes.toString('hex');
}
