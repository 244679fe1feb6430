import { randomBytes } from 'node:crypto';
import type { ProofContext, Secret } from '../access/secret.js';
import { type Failure, type Hello, NONCE_BYTES, type Welcome } from '../protocol/messages.js';
import type { Connection } from '../transport/transport.js';

/** The refusal of a client that does not prove it. */
export const UNPROVED: Failure = {
  code: 'DST_E_SECRET',
  message:
    'the secret is not the one that this export asks for: give both sides the same file with --secret-file',
};

/** What an export asks one connection to prove, and what it proves in turn. */
export class Challenge {
  readonly hello: Hello;
  readonly nonce = randomBytes(NONCE_BYTES);
  readonly #secret: Secret;
  readonly #context: ProofContext;

  constructor(secret: Secret, hello: Hello, { serverCertificateSha256 }: Connection) {
    this.hello = hello;
    this.#secret = secret;
    this.#context = {
      clientNonce: hello.nonce,
      exportNonce: this.nonce,
      session: hello.session,
      epoch: hello.epoch,
      exportName: hello.export,
      certificateSha256: serverCertificateSha256,
    };
  }

  /** Whether the client has proved, for this connection, that it holds the secret. */
  accepts(proof: Buffer): boolean {
    return this.#secret.verify('client', this.#context, proof);
  }

  /** What WELCOME says of it. Only for a client whose proof held: others could guess by it. */
  answer(): Pick<Welcome, 'nonce' | 'proof'> {
    return { nonce: this.nonce, proof: this.#secret.prove('export', this.#context) };
  }
}
