import type { Clock } from '../../clock.js';
import { DstError, invariant } from '../../errors.js';
import {
  QUIC_PROBED_KEEP_MS,
  QUIC_RETRY_MS,
  QUIC_TRY_MS,
  TRANSPORT_HEAD_START_MS,
  USELESS_CONNECTIONS_MAX,
} from '../../limits.js';
import type { Connection } from '../../transport/transport.js';
import { type ExportPlace, formatHostPort } from '../address.js';
import type { Dial, DialRequest } from '../dial.js';
import { type RaceOutcome, race } from './race.js';
import type { Cause, ConnectionNews, Route } from './route.js';

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
const DENIED: Cause = {
  reason: 'quic-denied',
  words: 'the export refused this client over QUIC',
};

type Transport = Connection['transport'];

/**
 * Chooses the transport of each connection to one export: the one that the address asks for;
 * else QUIC, unless it gets no answer in time and WebTransport does. What was of use last goes
 * first at the next dial, and the other one is tried beside it, so that a network which begins
 * to drop one of the two strands nobody. Nor does one that passes greetings and nothing more.
 */
export class Router {
  readonly #options: RouterOptions;
  readonly #routes = new WeakMap<Connection, Route>();
  /** By which the export has let us in, last. */
  #welcomed: Route | undefined;
  /** Why WebTransport goes first, where it does. */
  #fallback: Cause | undefined;
  #asksMemory = true;
  /** What the last HELLO went out on, until that is welcomed: it gives way at the next dial. */
  #unproven: { readonly transport: Transport; readonly cause: Cause } | undefined;
  /** Connections of one transport, in a row, that were of no use. */
  #useless: { readonly transport: Transport; readonly count: number } | undefined;
  /** A connection over QUIC that a probe has made. */
  #probed: Connection | undefined;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /**
   * Makes a connection. Rejects as the transports' own dials do; where both fail, with one
   * error that names both reasons. A certificate that QUIC finds wrong is final. One that is to
   * be like another is made by that one's transport, and nothing is to be heard of it.
   */
  async dial(request: DialRequest): Promise<Connection> {
    const { place, quic, webtransport } = this.#options;
    if (request.like?.transport === 'quic') return quic(request);
    if (request.like !== undefined) return webtransport(request);
    if (place.scheme === 'quic') return this.#note(await quic(request), ASKED);
    if (place.scheme === 'https') return this.#note(await webtransport(request), ASKED);
    const probed = this.#probed;
    this.#probed = undefined;
    if (probed !== undefined) return this.#note(probed, PREFERRED);
    await this.#recall();
    return this.#race(request);
  }

  /**
   * Hears what became of a connection that was dialled here. Resolves when what is to be
   * remembered of it is, soon and always.
   */
  async heard(connection: Connection, news: ConnectionNews): Promise<void> {
    const route = this.#routes.get(connection);
    invariant(route !== undefined, 'news of a connection that was not dialled here');
    const { transport } = route;
    if (news === 'welcomed') this.#welcomed = route;
    if (route.reason === 'asked') return;
    switch (news) {
      case 'greeted':
        this.#unproven = { transport, cause: UNANSWERED };
        break;
      case 'answered':
        this.#unproven = undefined;
        break;
      case 'denied':
        this.#unproven = { transport, cause: DENIED };
        break;
      case 'welcomed':
        this.#unproven = undefined;
        if (transport !== 'quic') await this.#fallBack(route);
        break;
      case 'used':
        this.#useless = undefined;
        // Not at WELCOME: that may be all that comes through.
        if (transport === 'quic') await this.#prefer();
        break;
      case 'useless':
        this.#countUseless(transport);
        break;
    }
  }

  /** How the export was reached that said WELCOME last. */
  get current(): Route | undefined {
    return this.#welcomed;
  }

  /** Whether QUIC would be in use if it worked. */
  get fellBack(): boolean {
    const { transport, reason } = this.#welcomed ?? {};
    return transport !== undefined && transport !== 'quic' && reason !== 'asked';
  }

  /** This machine is elsewhere: what QUIC could do before says nothing. */
  startAfresh(): void {
    this.#fallback = undefined;
    this.#unproven = undefined;
    this.#useless = undefined;
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

  async #fallBack(route: Route): Promise<void> {
    const before = this.#fallback?.reason;
    this.#fallback = route;
    // Once: a reason that only goes on must not make the memory of it younger.
    if (route.reason === 'quic-silent' && before !== route.reason) {
      await this.#options.memory.setQuicSilent(true);
    }
  }

  async #prefer(): Promise<void> {
    this.#fallback = undefined;
    await this.#options.memory.setQuicSilent(false);
  }

  #countUseless(transport: Transport): void {
    const before = this.#useless?.transport === transport ? this.#useless.count : 0;
    const count = before + 1;
    this.#useless = { transport, count };
    const enough = count >= USELESS_CONNECTIONS_MAX;
    if (transport !== 'quic') {
      if (enough) this.#fallback = undefined;
    } else if (enough || this.#fallback !== undefined) {
      this.#fallback = UNANSWERED;
    }
  }

  async #recall(): Promise<void> {
    if (!this.#asksMemory) return;
    this.#asksMemory = false;
    if (await this.#options.memory.quicIsSilent()) this.#fallback ??= REMEMBERED;
  }

  async #race(request: DialRequest): Promise<Connection> {
    const { quic, webtransport, clock } = this.#options;
    const gaveWay = this.#unproven;
    const fallback = gaveWay?.transport === 'quic' ? gaveWay.cause : this.#fallback;
    const quicFirst = gaveWay ? gaveWay.transport !== 'quic' : fallback === undefined;
    const isRetry = this.#welcomed !== undefined;
    const windowMs = isRetry ? QUIC_RETRY_MS : QUIC_TRY_MS;
    const outcome = await race({
      first: quicFirst ? quic : webtransport,
      second: quicFirst ? webtransport : quic,
      request,
      clock,
      headStartMs: TRANSPORT_HEAD_START_MS,
      windowMs: quicFirst || gaveWay !== undefined ? windowMs : 0,
      holdMs: quicFirst && isRetry ? QUIC_RETRY_MS : 0,
      isFinal: (failure) => isFinal(failure, quicFirst),
    });
    const { winner, connection } = outcome;
    if (connection === undefined) throw this.#failure(outcome, quicFirst);
    const overQuic = (winner === 'first') === quicFirst;
    if (overQuic) return this.#note(connection, PREFERRED);
    const why = quicFirst ? causeOf(outcome, windowMs) : fallback;
    invariant(why !== undefined, 'WebTransport went first without a reason');
    return this.#note(connection, why);
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
    const [quic, webtransport] = quicFirst ? [first, second] : [second, first];
    // WebTransport's may be that of a network which asks for a login, and then passes.
    if (isAboutCertificate(quic)) return quic;
    return new DstError(
      quic.code === webtransport.code ? quic.code : 'DST_E_UNREACHABLE',
      `${formatHostPort(this.#options.place)} was reached neither over QUIC nor over WebTransport; QUIC: ${quic.message}; WebTransport: ${webtransport.message}`,
      { cause: new AggregateError([quic, webtransport]) },
    );
  }
}

/** Why QUIC, which went first, lost. */
function causeOf({ failures, firstFailedAfterMs = 0 }: RaceOutcome, windowMs: number): Cause {
  const failure = failures.first;
  // Without a way to the export it fails with that code as well, and at once.
  const gaveUp = failure?.code === 'DST_E_UNREACHABLE' && firstFailedAfterMs >= windowMs;
  if (failure === undefined || gaveUp) {
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
