import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectChain } from '../../src/transport/webtransport/http3-trust.js';
import { makeServer } from '../trust/certificate-maker.js';

const PEER = { address: '127.0.0.1', port: 4433 };

type Ask = (question: { hostname: string; port: number; certs: Uint8Array[] }) => boolean;

/** What the library asks. */
function ask(certs: Uint8Array[], hostname = PEER.address): boolean {
  const { FAILSVerifyProof } = globalThis as unknown as { FAILSVerifyProof: Ask };
  return FAILSVerifyProof({ hostname, port: PEER.port, certs });
}

test('the one that dials an address decides about the chain that it shows', async () => {
  const { certificate } = await makeServer(undefined);
  const seen: string[] = [];
  const forget = expectChain(PEER, ([leaf]) => {
    seen.push(leaf?.fingerprint256 ?? '');
  });
  assert.equal(ask([certificate.raw]), true);
  assert.deepEqual(seen, [certificate.fingerprint256]);
  forget();
});

test('a chain that one of those who dial refuses is refused', async () => {
  const { certificate } = await makeServer(undefined);
  const forgets = [
    expectChain(PEER, () => {}),
    expectChain(PEER, () => {
      throw new Error('not this one');
    }),
  ];
  assert.equal(ask([certificate.raw]), false);
  for (const forget of forgets) forget();
});

test('an address that nobody dials, or no more, is refused', async () => {
  const { certificate } = await makeServer(undefined);
  const forget = expectChain(PEER, () => {});
  assert.equal(ask([certificate.raw], '127.0.0.2'), false);
  forget();
  assert.equal(ask([certificate.raw]), false);
});

test('what is no certificate is refused', () => {
  const forget = expectChain(PEER, () => {});
  assert.equal(ask([Buffer.from('no certificate')]), false);
  forget();
});
