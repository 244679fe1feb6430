import assert from 'node:assert/strict';
import type { Scheme } from '../../src/client/address.js';
import { describeRoute } from '../../src/client/route/route.js';
import { Router } from '../../src/client/route/router.js';
import type { DstErrorCode } from '../../src/errors.js';
import { CONNECT_TIMEOUT_MS } from '../../src/limits.js';
import type { Connection } from '../../src/transport/transport.js';
import { ends, VirtualClock } from '../support/virtual-time.js';
import { type Answer, FakeTransport } from './fake-transport.js';

/** A dial over TCP in a network where a round trip takes no time to speak of. */
export const SWIFT_MS = 20;

interface WorldOptions {
  readonly scheme?: Scheme;
  readonly quic?: Answer;
  readonly webtransport?: Answer;
  readonly silentBefore?: boolean;
}

/** A router between two transports, in virtual time. */
export class RouterWorld {
  readonly clock = new VirtualClock();
  readonly quic: FakeTransport;
  readonly webtransport: FakeTransport;
  readonly router: Router;
  /** What was last remembered. */
  silent: boolean | undefined;

  constructor({ scheme, quic, webtransport, silentBefore = false }: WorldOptions = {}) {
    this.quic = new FakeTransport('quic', this.clock, quic ?? SWIFT_MS);
    this.webtransport = new FakeTransport('webtransport', this.clock, webtransport ?? SWIFT_MS);
    this.router = new Router({
      place: { scheme, host: 'storage.example', port: 4433 },
      quic: this.quic.dial,
      webtransport: this.webtransport.dial,
      memory: {
        quicIsSilent: async () => silentBefore,
        setQuicSilent: async (silent) => {
          this.silent = silent;
        },
      },
      clock: this.clock,
    });
  }

  /** Dials, and returns how long that took as well. */
  async dial(timeoutMs = CONNECT_TIMEOUT_MS): Promise<{ connection: Connection; tookMs: number }> {
    const startMs = this.clock.nowMs();
    const { signal } = new AbortController();
    const dialling = this.router.dial({ timeoutMs, signal, attempt: 0 });
    const connection = await ends(this.clock, dialling, 'the connection');
    return { connection, tookMs: this.clock.nowMs() - startMs };
  }

  /** The same, and HELLO goes out. */
  async greet(timeoutMs?: number) {
    const dialled = await this.dial(timeoutMs);
    await this.router.heard(dialled.connection, 'greeted');
    return dialled;
  }

  /** The same, and the export says WELCOME. */
  async connect(timeoutMs?: number) {
    const dialled = await this.greet(timeoutMs);
    await this.router.heard(dialled.connection, 'welcomed');
    return dialled;
  }

  /** The same, and transactions are answered. */
  async use(timeoutMs?: number) {
    const dialled = await this.connect(timeoutMs);
    await this.router.heard(dialled.connection, 'used');
    return dialled;
  }

  /** The same, and none is. */
  async useInVain(timeoutMs?: number) {
    const dialled = await this.connect(timeoutMs);
    await this.router.heard(dialled.connection, 'useless');
    return dialled;
  }

  /** As `info` shows it. */
  get route(): string {
    assert.ok(this.router.current);
    return describeRoute(this.router.current);
  }

  async fails(timeoutMs = CONNECT_TIMEOUT_MS): Promise<{ code: DstErrorCode; message: string }> {
    const error = await this.dial(timeoutMs).then(
      () => assert.fail('it connected'),
      (reason) => reason,
    );
    return error;
  }
}
