/** An export in virtual time, with rules by address and a disk that may hang. */
import { parseAddressRule } from '../../src/access/address-rules.js';
import { Gate, type Visitor } from '../../src/access/gate.js';
import { Secret } from '../../src/access/secret.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { ExportServer, type ExportServerOptions } from '../../src/export/server.js';
import { CONNECTIONS_PER_MINUTE_DEFAULT } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import { type MemoryConnection, MemoryNetwork } from '../../src/transport/memory.js';
import type { Random } from '../simulation/random.js';
import { FaultyDevice, type Hold } from '../support/faulty-device.js';
import { VirtualClock } from '../support/virtual-time.js';
import { CountingClock } from './counting-clock.js';
import { pieces } from './mutate.js';

export const CHECKSUM = 'crc32c';
export const DEVICE_BYTES = 1 << 20;
const DELAY_MAX_MS = 5;
const SECRET = new Secret(Buffer.alloc(32, 7));

/** Where a client dials from: what the rules give it is its name. */
export const ADDRESS = { writer: '192.0.2.1', reader: '192.0.2.2', denied: '203.0.113.9' } as const;
const RULES = [`${ADDRESS.reader}=ro`, '192.0.2.0/24'].map(parseAddressRule);

/** How likely a command of attackers' hangs, in a world whose disk does. */
const HANG_CHANCE = 0.1;

export class World {
  readonly clock = new VirtualClock();
  readonly counting = new CountingClock(this.clock);
  readonly safe = new MemoryDevice(DEVICE_BYTES);
  readonly volume = new FaultyDevice(new MemoryDevice(DEVICE_BYTES));
  readonly network: MemoryNetwork;
  readonly server: ExportServer;
  /** What the honest, readers and writers share with the export, in half of the worlds. */
  readonly secret: Secret | undefined;
  readonly #hold: Hold | undefined;
  /** By the number of the connection, as the in-memory network has no addresses. */
  readonly #addresses = new Map<number, string>();
  #dialsFrom: string = ADDRESS.writer;

  constructor(random: Random) {
    this.network = new MemoryNetwork({
      schedule: (task, delayMs) => this.clock.after(delayMs, task),
      delayMs: () => random.below(DELAY_MAX_MS),
      split: (bytes) => pieces(bytes, random),
    });
    this.secret = random.chance(0.5) ? SECRET : undefined;
    const hangs = random.fork();
    this.#hold = hangs.chance(0.5)
      ? this.volume.hold(() => hangs.chance(HANG_CHANCE), hangs.pick(['before', 'after']))
      : undefined;
    this.server = new ExportServer({
      stores: [
        { name: 'vol', device: this.volume },
        { name: 'safe', device: this.safe },
      ],
      checksums: [CHECKSUM],
      log: silentLog,
      clock: this.counting,
      secret: this.secret,
      gate: this.#gate(),
      shared: random.chance(0.5),
    });
    this.server.attach(this.network.listen());
  }

  dial(address: string): Promise<MemoryConnection> {
    this.#dialsFrom = address;
    return this.network.dial();
  }

  /** Every command that hangs goes on, and no other will hang. */
  unhang(): void {
    this.#hold?.release();
  }

  #gate(): NonNullable<ExportServerOptions['gate']> {
    const gate = new Gate({
      addresses: RULES,
      connectionsPerMinute: CONNECTIONS_PER_MINUTE_DEFAULT,
      log: silentLog,
      clock: this.clock,
    });
    const placed = ({ peer: { port } }: Visitor): Visitor => {
      const address = this.#addresses.get(port) ?? this.#dialsFrom;
      this.#addresses.set(port, address);
      return { peer: { address, port } };
    };
    return {
      decide: (visitor) => gate.decide(placed(visitor)),
      chargeProof: (visitor) => gate.chargeProof(placed(visitor)),
      refundProof: (visitor) => gate.refundProof(placed(visitor)),
      mayTell: (visitor) => gate.mayTell(placed(visitor)),
    };
  }
}
