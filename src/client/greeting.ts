/**
 * The handshake as the client sees it: HELLO, a proof where the export asks for one, WELCOME.
 * It takes frames and says what to send; the link does the sending and the waiting.
 */
import { randomBytes } from 'node:crypto';
import type { ProofContext, Secret } from '../access/secret.js';
import { DstError } from '../errors.js';
import { encodeControl } from '../protocol/encode.js';
import { type Frame, isControl } from '../protocol/frame.js';
import { protocolError } from '../protocol/header.js';
import { KIND, PROTOCOL_VERSION } from '../protocol/kinds.js';
import {
  failureError,
  type Hello,
  helloBody,
  type Intent,
  NONCE_BYTES,
  proofBody,
  readChallenge,
  readFailure,
  readWelcome,
  type Welcome,
} from '../protocol/messages.js';
import { AGENT } from '../version.js';
import { FINAL_REFUSALS } from './refusals.js';

/** What a client asks an export for. */
export interface LinkRequest {
  readonly intent: Intent;
  readonly exportName: string;
  readonly session: Buffer;
  readonly epoch: number;
  /** 0, which begins the epoch, unless given. */
  readonly lane?: number;
  readonly checksums: readonly string[];
  readonly readOnly: boolean;
  /** The session has been welcomed before. */
  readonly resuming: boolean;
  readonly takeover: boolean;
  /** Shared with the export, which must ask for it, and hold it too. */
  readonly secret?: Secret | undefined;
}

/** What to do about a frame of the export's: send another one, or go on as it allows. */
export type GreetingStep = { readonly send: Buffer } | { readonly welcome: Welcome };

export class Greeting {
  readonly #request: LinkRequest;
  readonly #hello: Hello;
  readonly #certificateSha256: Buffer | undefined;
  /** What both proofs are about, once the export has asked for ours. */
  #challenged: ProofContext | undefined;

  /** `certificateSha256` is of the certificate that the export showed on this connection. */
  constructor(request: LinkRequest, pingIntervalMs: number, certificateSha256: Buffer | undefined) {
    this.#request = request;
    this.#hello = helloOf(request, pingIntervalMs);
    this.#certificateSha256 = certificateSha256;
  }

  /** The frame to begin with. */
  get hello(): Buffer {
    return encodeControl(KIND.hello, 0, helloBody(this.#hello));
  }

  /**
   * Takes the export's next frame. Throws its refusal; DST_E_SECRET_NEEDED,
   * DST_E_SECRET_UNASKED or DST_E_SECRET_EXPORT where the two do not share a secret; or
   * DST_E_PROTOCOL. The connection is of no more use then.
   */
  take(frame: Frame): GreetingStep {
    if (!isControl(frame)) throw protocolError('a transaction before WELCOME');
    switch (frame.kind) {
      case KIND.refused:
        throw this.#refusal(failureError(readFailure(frame.body)));
      case KIND.challenge:
        return { send: this.#prove(readChallenge(frame.body).nonce) };
      case KIND.welcome: {
        const welcome = readWelcome(frame.body);
        this.#checkProof(welcome);
        this.#checkAnswer(welcome);
        return { welcome };
      }
      default:
        throw protocolError('no WELCOME');
    }
  }

  /**
   * What a refusal means. An export that shares our secret asks for a proof before it decides
   * anything that lasts; so where it did not ask, its word must not end a session for good.
   */
  #refusal(refusal: DstError): DstError {
    const unproved = this.#request.secret !== undefined && this.#challenged === undefined;
    return unproved && FINAL_REFUSALS.has(refusal.code) ? refusedUnasked(refusal) : refusal;
  }

  #prove(exportNonce: Buffer): Buffer {
    if (this.#challenged !== undefined) throw protocolError('a second CHALLENGE');
    const { secret, session, epoch, exportName } = this.#request;
    if (secret === undefined) throw needed();
    this.#challenged = {
      clientNonce: this.#hello.nonce,
      exportNonce,
      session,
      epoch,
      exportName,
      certificateSha256: this.#certificateSha256,
    };
    const proof = secret.prove('client', this.#challenged);
    return encodeControl(KIND.proof, 0, proofBody({ proof }));
  }

  /** Nothing that a WELCOME says counts before its export has proved that it holds the secret. */
  #checkProof({ nonce, proof }: Welcome): void {
    const { secret } = this.#request;
    if (secret === undefined) return;
    const challenged = this.#challenged;
    if (challenged === undefined) throw unasked();
    if (!nonce.equals(challenged.exportNonce)) {
      throw protocolError('a WELCOME whose nonce is not that of its CHALLENGE');
    }
    if (proof === undefined || !secret.verify('export', challenged, proof)) throw unproved();
  }

  #checkAnswer(welcome: Welcome): void {
    const { session, epoch, checksums, intent } = this.#request;
    const ours = welcome.session.equals(session) && welcome.epoch === epoch;
    if (!ours) throw protocolError('a WELCOME for another session');
    if (!checksums.includes(welcome.checksum)) {
      throw protocolError(`the checksum "${welcome.checksum}", which was not offered`);
    }
    if (intent !== 'list' && welcome.export === undefined) {
      throw protocolError('a WELCOME without an export');
    }
  }
}

function helloOf(request: LinkRequest, pingIntervalMs: number): Hello {
  return {
    version: PROTOCOL_VERSION,
    intent: request.intent,
    export: request.exportName,
    session: request.session,
    epoch: request.epoch,
    lane: request.lane ?? 0,
    nonce: randomBytes(NONCE_BYTES),
    checksums: request.checksums,
    readOnly: request.readOnly,
    resuming: request.resuming,
    takeover: request.takeover,
    pingIntervalMs,
    agent: AGENT,
  };
}

function needed(): DstError {
  return new DstError(
    'DST_E_SECRET_NEEDED',
    'the export asks for its shared secret: give the file with --secret-file',
  );
}

function unasked(): DstError {
  return new DstError(
    'DST_E_SECRET_UNASKED',
    'the export does not ask for the shared secret: start it with --secret-file, or leave that out here too',
  );
}

function refusedUnasked(refusal: DstError): DstError {
  return new DstError(
    'DST_E_SECRET_UNASKED',
    `the export refused without asking for the shared secret, so something may be posing as it (${refusal.code}: ${refusal.message}): see its log, and that it was started with --secret-file`,
    { cause: refusal },
  );
}

function unproved(): DstError {
  return new DstError(
    'DST_E_SECRET_EXPORT',
    'the export did not prove that it holds the shared secret: something may be posing as it, so check the address and --cert',
  );
}
