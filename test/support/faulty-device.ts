import type { CommandName } from '../../src/block/check-range.js';
import type {
  BlockDevice,
  Capabilities,
  Extent,
  Geometry,
  WriteFlags,
  WriteZeroesFlags,
} from '../../src/block/device.js';
import type { Payload } from '../../src/block/payload.js';

/** A command as a `FaultyDevice` was given it. */
export interface SeenCommand {
  readonly name: CommandName | 'flush';
  readonly offset: number;
  readonly lengthBytes: number;
  readonly flags: WriteZeroesFlags;
}

export type CommandFilter = (command: SeenCommand) => boolean;

/** Commands that a `FaultyDevice` keeps from going on. */
export interface Hold {
  /** Resolves with the first command that is held. */
  readonly arrived: Promise<SeenCommand>;
  /** Lets those that are held go on, and holds no more. */
  release(): void;
}

/** What a test may claim about the device instead of the truth. */
export interface FaultyClaims {
  readonly capabilities?: Partial<Capabilities>;
  readonly geometry?: Partial<Geometry>;
  readonly verifier?: Buffer;
}

interface Gate {
  readonly filter: CommandFilter;
  readonly point: 'before' | 'after';
  readonly opened: Promise<void>;
  readonly arrive: (command: SeenCommand) => void;
}

/** A device around another one, whose commands a test can watch, hold back and make fail. */
export class FaultyDevice implements BlockDevice {
  readonly description: string;
  readonly capabilities: Capabilities;
  readonly verifier: Buffer;
  /** Every command, in the order in which they came. */
  readonly commands: SeenCommand[] = [];
  closed = false;
  readonly #inner: BlockDevice;
  readonly #claims: FaultyClaims;
  readonly #gates = new Set<Gate>();
  #failure: (command: SeenCommand) => Error | undefined = () => undefined;

  constructor(inner: BlockDevice, claims: FaultyClaims = {}) {
    this.#inner = inner;
    this.#claims = claims;
    this.description = `faulty ${inner.description}`;
    this.capabilities = { ...inner.capabilities, ...claims.capabilities };
    this.verifier = claims.verifier ?? inner.verifier;
  }

  get geometry(): Geometry {
    return { ...this.#inner.geometry, ...this.#claims.geometry };
  }

  /**
   * Holds the commands that `filter` names: before they reach the inner device, or after,
   * when they have taken effect and only their answer is late.
   */
  hold(filter: CommandFilter, point: 'before' | 'after' = 'before'): Hold {
    const opened = signal<void>();
    const arrived = signal<SeenCommand>();
    const gate: Gate = { filter, point, opened: opened.promise, arrive: arrived.resolve };
    this.#gates.add(gate);
    return {
      arrived: arrived.promise,
      release: () => {
        this.#gates.delete(gate);
        opened.resolve();
      },
    };
  }

  /** Fails the commands for which `failure` returns an error, without running them. */
  failWhen(failure: (command: SeenCommand) => Error | undefined): void {
    this.#failure = failure;
  }

  read(offset: number, lengthBytes: number): Promise<Payload> {
    return this.#pass('read', offset, lengthBytes, {}, () => this.#inner.read(offset, lengthBytes));
  }

  write(offset: number, payload: Payload, flags: WriteFlags): Promise<void> {
    return this.#pass('write', offset, payload.lengthBytes, flags, () =>
      this.#inner.write(offset, payload, flags),
    );
  }

  flush(): Promise<void> {
    return this.#pass('flush', 0, 0, {}, () => this.#inner.flush());
  }

  trim(offset: number, lengthBytes: number, flags: WriteFlags): Promise<void> {
    return this.#pass('trim', offset, lengthBytes, flags, () =>
      this.#inner.trim(offset, lengthBytes, flags),
    );
  }

  writeZeroes(offset: number, lengthBytes: number, flags: WriteZeroesFlags): Promise<void> {
    return this.#pass('write zeroes', offset, lengthBytes, flags, () =>
      this.#inner.writeZeroes(offset, lengthBytes, flags),
    );
  }

  blockStatus(offset: number, lengthBytes: number): Promise<readonly Extent[]> {
    return this.#pass('block status', offset, lengthBytes, {}, () =>
      this.#inner.blockStatus(offset, lengthBytes),
    );
  }

  cache(offset: number, lengthBytes: number): Promise<void> {
    return this.#pass('cache', offset, lengthBytes, {}, () =>
      this.#inner.cache(offset, lengthBytes),
    );
  }

  reread(): Promise<void> {
    return this.#inner.reread();
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.#inner.close();
  }

  async #pass<T>(
    name: SeenCommand['name'],
    offset: number,
    lengthBytes: number,
    flags: WriteZeroesFlags,
    run: () => Promise<T>,
  ): Promise<T> {
    const command: SeenCommand = { name, offset, lengthBytes, flags };
    this.commands.push(command);
    await this.#wait('before', command);
    const failure = this.#failure(command);
    if (failure !== undefined) throw failure;
    const result = await run();
    await this.#wait('after', command);
    return result;
  }

  async #wait(point: Gate['point'], command: SeenCommand): Promise<void> {
    for (const gate of this.#gates) {
      if (gate.point !== point || !gate.filter(command)) continue;
      gate.arrive(command);
      await gate.opened;
    }
  }
}

function signal<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
