import type { Clock } from '../../clock.js';
import { DstError, invariant } from '../../errors.js';
import {
  QUIC_PROBED_KEEP_MS,
  QUIC_RETRY_MS,
  QUIC_TRY_MS,
  TRANSPORT_HEAD_START_MS,
} from '../../limits.js';
import type { Connection } from '../../transport/transport.js';
import { type ExportPlace, formatHostPort } from '../address.js';
import type { Dial, DialRequest } from '../link.js';
import { type RaceOutcome, race } from './race.js';
import type { Cause, Route } from './route.js';

/** Whether QUIC got no answer from an address lately, from one process to the next. */
export interface SilenceMemory {
  quicIsSilent(): Promise<boolean>;
  /** Soon resolves, and never rejects. */
  setQuicSilent(silent: boolean): Promise<void>;
}

export interface RouterOptions {
  readonly place: ExportPlace;
  readonly quic: Dial;
  readonly webtransport: Dial;
  readonly memory: SilenceMemory;
  readonly clock: Clock;
}

const ASKED: Cause = { reason: 'asked', words: 'asked for' };
const PREFERRED: Cause = { reason: 'preferred', words: '' };
const REMEMBERED: Cause = { reason: 'remembered', words: 'QUIC did not answer lately' };
const REFUSED: Cause = { reason: 'quic-refused', words: 'nothing listens on its UDP port' };
const UNANSWERED: Cause = {
  reason: 'quic-unanswered',
  words: 'the export did not answer over QUIC',
};

/**
 * Chooses the transport of each connection to one export: the one that the address asks for;
 * else QUIC, unless it gets no answer in time and WebTransport does. What answered last goes
 * first at the next dial, and the other one is tried beside it, so that a network which begins
 * to drop one of the two strands nobody.
 */
export class Router {
  readonly #options: RouterOptions;
  readonly #routes = new WeakMap<Connection, Route>();
  /** By which the export answered last. */
  #answered: Route | undefined;
  /** Why WebTransport goes first, where it does. */
  #fallback: Cause | undefined;
  #asksMemory = true;
  /** Connections over what goes first on which the export has answered nothing, in a row. */
  #unanswered = 0;
  /** A connection over QUIC that a probe has made. */
  #probed: Connection | undefined;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /**
   * Makes a connection. Rejects as the transports' own dials do; where both fail, with one
   * error that names both reasons. A certificate that QUIC finds wrong is final.
   */
  async dial(request: DialRequest): Promise<Connection> {
    const { place, quic, webtransport } = this.#options;
    if (place.scheme === 'quic') return this.#note(await quic(request), ASKED);
    if (place.scheme === 'https') return this.#note(await webtransport(request), ASKED);
    const probed = this.#probed;
    this.#probed = undefined;
    if (probed !== undefined) return this.#note(probed, PREFERRED);
    await this.#recall();
    return this.#race(request);
  }

  /**
   * The export has answered on a connection that was dialled here, be it with a refusal. Resolves
   * when that is remembered, soon and always.
   */
  async answered(connection: Connection): Promise<void> {
    const route = this.#routes.get(connection);
    invariant(route !== undefined, 'an answer on a connection that was not dialled here');
    this.#answered = route;
    this.#unanswered = 0;
    if (route.reason === 'asked') return;
    const before = this.#fallback?.reason;
    this.#fallback = this.fellBack ? route : undefined;
    if (this.#fallback === undefined) await this.#options.memory.setQuicSilent(false);
    // Once: a reason that only goes on must not make the memory of it younger.
    else if (route.reason === 'quic-silent' && before !== route.reason) {
      await this.#options.memory.setQuicSilent(true);
    }
  }

  /** How the export was reached that answered last. */
  get current(): Route | undefined {
    return this.#answered;
  }

  /** Whether QUIC would be in use if it worked. */
  get fellBack(): boolean {
    const { transport, reason } = this.#answered ?? {};
    return transport !== undefined && transport !== 'quic' && reason !== 'asked';
  }

  /** This machine is elsewhere: what QUIC could do before says nothing. */
  startAfresh(): void {
    this.#fallback = undefined;
    this.#unanswered = 0;
  }

  /** Has the next dial use this connection over QUIC, if it comes within QUIC_PROBED_KEEP_MS. */
  offer(connection: Connection): void {
    this.withdraw();
    this.#probed = connection;
    const keeping = this.#options.clock.after(QUIC_PROBED_KEEP_MS, () => {
      if (this.#probed === connection) this.withdraw();
    });
    connection.onClose(() => {
      keeping.cancel();
      if (this.#probed === connection) this.#probed = undefined;
    });
  }

  /** Closes a connection that was offered and not used. */
  withdraw(): void {
    this.#probed?.close('it is not wanted any more');
  }

  async #recall(): Promise<void> {
    if (!this.#asksMemory) return;
    this.#asksMemory = false;
    if (await this.#options.memory.quicIsSilent()) this.#fallback ??= REMEMBERED;
  }

  async #race(request: DialRequest): Promise<Connection> {
    const { quic, webtransport, clock } = this.#options;
    // One that takes connections and then is not answered gives way, each other time.
    const gaveWay = this.#unanswered % 2 === 1;
    const quicFirst = (this.#fallback === undefined) !== gaveWay;
    const isRetry = this.#answered !== undefined;
    const windowMs = isRetry ? QUIC_RETRY_MS : QUIC_TRY_MS;
    const fallback = gaveWay ? UNANSWERED : this.#fallback;
    const outcome = await race({
      first: quicFirst ? quic : webtransport,
      second: quicFirst ? webtransport : quic,
      request,
      clock,
      headStartMs: TRANSPORT_HEAD_START_MS,
      windowMs: quicFirst || gaveWay ? windowMs : 0,
      holdMs: quicFirst && isRetry ? QUIC_RETRY_MS : 0,
      isFinal: (failure) => isFinal(failure, quicFirst),
    });
    const { winner, connection, failures } = outcome;
    if (connection === undefined) throw this.#failure(outcome, quicFirst);
    const overQuic = (winner === 'first') === quicFirst;
    if (winner === 'first') this.#unanswered++;
    if (overQuic) return this.#note(connection, PREFERRED);
    const why = quicFirst ? causeOf(failures.first, windowMs) : fallback;
    return this.#note(connection, why ?? causeOf(failures.second, windowMs));
  }

  #note(connection: Connection, { reason, words }: Cause): Connection {
    const { transport, protocol } = connection;
    this.#routes.set(connection, { transport, protocol, reason, words });
    return connection;
  }

  #failure({ failures }: RaceOutcome, quicFirst: boolean): DstError {
    const { first, second } = failures;
    invariant(first !== undefined, 'a race was lost without a reason');
    if (second === undefined) return first;
    const certificate = [first, second].find(isAboutCertificate);
    if (certificate !== undefined) return certificate;
    const [quic, webtransport] = quicFirst ? [first, second] : [second, first];
    return new DstError(
      quic.code === webtransport.code ? quic.code : 'DST_E_UNREACHABLE',
      `${formatHostPort(this.#options.place)} was reached neither over QUIC nor over WebTransport; QUIC: ${quic.message}; WebTransport: ${webtransport.message}`,
      { cause: new AggregateError([quic, webtransport]) },
    );
  }
}

function causeOf(failure: DstError | undefined, windowMs: number): Cause {
  if (failure === undefined) {
    return {
      reason: 'quic-silent',
      words: `QUIC did not answer within ${windowMs / 1000} s`,
    };
  }
  if (failure.code === 'DST_E_REFUSED') return REFUSED;
  return { reason: 'quic-failed', words: `QUIC failed with ${failure.code}` };
}

/** A name without an address has none for the other transport; nor is there another export. */
function isFinal(failure: DstError, ofQuic: boolean): boolean {
  if (failure.code === 'DST_E_RESOLVE') return true;
  // A network that asks for a login answers on TCP in place of every export.
  return ofQuic && isAboutCertificate(failure);
}

function isAboutCertificate({ code }: DstError): boolean {
  return code.startsWith('DST_E_CERT_');
}
