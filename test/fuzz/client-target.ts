/** An export that answers with mutated frames, against a real client in virtual time. */
import assert from 'node:assert/strict';
import type { BlockDevice } from '../../src/block/device.js';
import { payloadOf } from '../../src/block/payload.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import { DstError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import { loadChecksum } from '../../wasm/checksums.js';
import { read } from '../client/support.js';
import { Random } from '../simulation/random.js';
import { ends, pass, VirtualClock } from '../support/virtual-time.js';
import { CountingClock } from './counting-clock.js';
import { CONTENT, EXPORT_BYTES, HostileExport, type Malice } from './hostile-export.js';
import { pieces } from './mutate.js';

const CHECKSUM = 'crc32c';
const COMMANDS_MAX = 30;
const COMMAND_BYTES_MAX = 16 * 1024;

/** Within these every command ends, whatever the export does. */
const CONNECT_LIMIT_MS = 60_000;
const COMMANDS_LIMIT_MS = 300_000;
const SESSION_LIMITS = { resendTimeoutMs: 1_000, maxResends: 3, maxOutageMs: 10_000 } as const;

/** An honest export has nothing to hide; the others show their malice early, late or always. */
const MALICE: readonly [Malice, ...Malice[]] = [
  { welcome: 1, replies: 0, notices: 0 },
  { welcome: 0, replies: 0.3, notices: 0.1 },
  { welcome: 0.1, replies: 0.05, notices: 0.3 },
  { welcome: 0.5, replies: 0.5, notices: 0.5 },
];

/** One seed: throws where the client does what it must not. */
export async function fuzzClient(seed: number): Promise<void> {
  const random = new Random(seed);
  const checksum = await loadChecksum(CHECKSUM);
  const clock = new VirtualClock();
  const counting = new CountingClock(clock);
  const network = new MemoryNetwork({
    schedule: (task, delayMs) => clock.after(delayMs, task),
    delayMs: () => random.below(5),
    split: (bytes) => pieces(bytes, random),
  });
  const malice = random.pick(MALICE);
  network.listen().onConnection((connection) => {
    new HostileExport(connection, random.fork(), malice, checksum);
  });
  const connecting = outcome(
    RemoteDevice.connect({
      dial: (request) => network.dial(request),
      exportName: 'vol',
      checksums: [CHECKSUM],
      readOnly: false,
      log: silentLog,
      clock: counting,
      random: () => 0.5,
      ...SESSION_LIMITS,
    }),
  );
  const device = await ends(clock, connecting, 'the connection', CONNECT_LIMIT_MS);
  if (device !== undefined) {
    const commands = Array.from({ length: 1 + random.below(COMMANDS_MAX) }, () =>
      outcome(command(device, random)),
    );
    await ends(clock, Promise.all(commands), 'the end of every command', COMMANDS_LIMIT_MS);
    await ends(clock, device.close(), 'the end of the session');
  }
  await pass(clock, 1_000);
  assert.equal(network.connections.length, 0, 'connections are left');
  assert.equal(counting.live, 0, 'timers are left');
  assert.equal(Reflect.get({}, 'polluted'), undefined, 'a prototype was changed');
}

/** What came of it; undefined for an expected failure. */
async function outcome<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof DstError) return undefined;
    throw error;
  }
}

async function command(device: BlockDevice, random: Random): Promise<void> {
  const offset = random.below(EXPORT_BYTES - COMMAND_BYTES_MAX);
  const lengthBytes = 1 + random.below(COMMAND_BYTES_MAX);
  switch (random.below(7)) {
    case 0:
    case 1: {
      const bytes = await read(device, offset, lengthBytes);
      assert.ok(bytes.equals(CONTENT.subarray(offset, offset + lengthBytes)), 'wrong data');
      break;
    }
    case 2:
      return device.write(offset, payloadOf([Buffer.alloc(lengthBytes, 1)]), { fua: true });
    case 3:
      return device.flush();
    case 4:
      return device.trim(offset, lengthBytes, { fua: false });
    case 5:
      return device.writeZeroes(offset, lengthBytes, { noHole: true });
    default:
      await device.blockStatus(offset, lengthBytes);
  }
}
