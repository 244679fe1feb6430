/** A session that goes on in another process, with no more than its record. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RemoteDevice } from '../../src/client/remote-device.js';
import { SessionIdentity } from '../../src/client/session-identity.js';
import type { SessionOptions } from '../../src/client/session-options.js';
import type { SessionRecord } from '../../src/client/session-record.js';
import { DstError } from '../../src/errors.js';
import { UNFLUSHED_MARK_MIN_MS } from '../../src/limits.js';
import { MortalClock } from '../simulation/virtual-clock.js';
import { SessionWorld } from './session-world.js';
import { failsWith, pattern, read, write } from './support.js';

const BYTES = pattern(4096, 1);
const LOST = failsWith('DST_E_REPLAY_LOST', 'EIO');

/** The processes of one client, one after the other, and the record that they leave. */
class Lives {
  readonly world = new SessionWorld();
  readonly saved: SessionRecord[] = [];
  #kill: () => void = () => {};

  get record(): SessionRecord {
    const record = this.saved.at(-1);
    if (record === undefined) throw new Error('nothing was recorded');
    return record;
  }

  /** Kills the process that there is, and starts another, which resumes the session. */
  next(options: Partial<SessionOptions> = {}): Promise<RemoteDevice> {
    return this.world.ends(this.starting(options), 'the connection');
  }

  /** The same, for a test that lets time pass itself. */
  starting(options: Partial<SessionOptions> = {}): Promise<RemoteDevice> {
    this.#kill();
    const clock = new MortalClock(this.world.clock);
    let dead = false;
    this.#kill = () => {
      dead = true;
      clock.kill();
      this.world.network.cut();
    };
    return this.world.connecting({
      clock,
      dial: (request) => (dead ? new Promise(() => {}) : this.world.dial(request)),
      identity: this.identity(),
      ...options,
    });
  }

  identity(): SessionIdentity {
    const journal = { save: (record: SessionRecord) => void this.saved.push(record) };
    return new SessionIdentity({ journal, resume: this.saved.at(-1) });
  }

  /** A process that has acked a write, which nothing has flushed. */
  async unflushed(): Promise<RemoteDevice> {
    const device = await this.next();
    await this.world.ends(write(device, 0, BYTES), 'a write');
    return device;
  }

  async end(device: RemoteDevice): Promise<void> {
    await this.world.ends(device.close(), 'the end');
  }

  /** Names of what the device was asked to do. */
  get commands(): string[] {
    return this.world.device.commands.map(({ name }) => name);
  }
}

test('a session is resumed with its id, a higher epoch and new transaction ids', async () => {
  const lives = new Lives();
  const first = await lives.unflushed();
  const { epoch } = first.session.welcome;
  const { id, transaction } = lives.record;
  const second = await lives.next();
  assert.ok(second.session.welcome.session.equals(id));
  assert.ok(second.session.welcome.epoch > epoch);
  assert.ok(lives.record.transaction > transaction);
  // By an old id the export would answer for the old write.
  await lives.world.ends(write(second, 0, pattern(4096, 2)), 'a write');
  assert.ok((await lives.world.ends(read(second, 0, 4096), 'a read')).equals(pattern(4096, 2)));
  await lives.end(second);
});

test('the record is ahead of what is sent', async () => {
  const lives = new Lives();
  const first = await lives.next();
  assert.ok(lives.record.epoch >= first.session.welcome.epoch);
  await lives.world.ends(read(first, 0, 512), 'a read');
  assert.ok(lives.record.transaction > 1);
  await lives.end(first);
});

test('a write is recorded as unflushed before it is acked', async () => {
  const lives = new Lives();
  const device = await lives.next();
  assert.equal(lives.record.unflushed, false);
  let recorded: boolean | undefined;
  const writing = write(device, 0, BYTES).then(() => {
    recorded = lives.record.unflushed;
  });
  await lives.world.ends(writing, 'a write');
  assert.equal(recorded, true);
  assert.ok(lives.record.verifier?.equals(lives.world.device.verifier));
  await lives.end(device);
});

test('reads, and writes with FUA, leave nothing to flush', async () => {
  const lives = new Lives();
  const device = await lives.next();
  await lives.world.ends(read(device, 0, 512), 'a read');
  await lives.world.ends(device.writeZeroes(0, 512, { fua: true }), 'a write');
  assert.equal(lives.record.unflushed, false);
  await lives.end(device);
});

test('what an ended process had acked is flushed before the session is open', async () => {
  const lives = new Lives();
  await lives.unflushed();
  const hold = lives.world.device.hold(({ name }) => name === 'flush');
  let open = false;
  const starting = lives.starting().then((device) => {
    open = true;
    return device;
  });
  await lives.world.comes(() => lives.commands.includes('flush'), 'a flush');
  await lives.world.pass(1_000);
  assert.equal(open, false);
  assert.equal(lives.record.unflushed, true);
  hold.release();
  const device = await lives.world.ends(starting, 'the connection');
  assert.equal(lives.record.unflushed, false);
  await lives.end(device);
});

test('where all was flushed the session is open at once, also on an export that was rebooted', async () => {
  const lives = new Lives();
  const first = await lives.unflushed();
  await lives.world.ends(first.flush(), 'a flush');
  await lives.world.comes(() => !lives.record.unflushed, 'the mark', 2 * UNFLUSHED_MARK_MIN_MS);
  lives.world.reboot();
  const second = await lives.next();
  assert.deepEqual(lives.commands, []);
  await lives.end(second);
});

test('acked writes that an export lost with its cache are told, each time', async () => {
  const lives = new Lives();
  await lives.unflushed();
  lives.world.reboot();
  await assert.rejects(lives.next(), LOST);
  await assert.rejects(lives.next(), LOST);
  assert.deepEqual(lives.commands, []);
});

test('a session that is given up leaves, so that another client need not wait', async () => {
  const lives = new Lives();
  await lives.unflushed();
  lives.world.reboot();
  await assert.rejects(lives.next(), LOST);
  assert.equal(lives.world.server.sessions, 0);
  const other = await lives.world.connect();
  await lives.end(other);
});

test('an export that is rebooted before it has flushed has lost them as well', async () => {
  const lives = new Lives();
  await lives.unflushed();
  lives.world.device.hold(({ name }) => name === 'flush');
  const starting = lives.starting();
  starting.catch(() => {});
  await lives.world.comes(() => lives.commands.includes('flush'), 'a flush');
  lives.world.reboot();
  await assert.rejects(lives.world.ends(starting, 'the refusal'), LOST);
});

test('a connection that is lost before the flush was answered is made anew', async () => {
  const lives = new Lives();
  await lives.unflushed();
  const hold = lives.world.device.hold(({ name }) => name === 'flush');
  const starting = lives.starting();
  await lives.world.comes(() => lives.commands.includes('flush'), 'a flush');
  lives.world.network.cut();
  hold.release();
  const device = await lives.world.ends(starting, 'the connection');
  assert.equal(lives.record.unflushed, false);
  await lives.end(device);
});

test('a flush that fails is believed for good: the next may succeed and prove nothing', async () => {
  const lives = new Lives();
  await lives.unflushed();
  lives.world.device.failWhen(() => new DstError('DST_E_TEST', 'broken', { errno: 'EIO' }));
  await assert.rejects(lives.next(), LOST);
  lives.world.device.failWhen(() => undefined);
  await assert.rejects(lives.next(), LOST);
});

test('a flush that goes unanswered can be tried again, by another attempt', async () => {
  const lives = new Lives();
  await lives.unflushed();
  const identity = lives.identity();
  const hold = lives.world.device.hold(({ name }) => name === 'flush');
  const options = { identity, resendTimeoutMs: 1_000, maxResends: 1 };
  const starting = lives.starting(options);
  starting.catch(() => {});
  await lives.world.comes(() => lives.commands.includes('flush'), 'a flush');
  lives.world.dials = 'fail';
  lives.world.network.cut();
  await assert.rejects(lives.world.ends(starting, 'the end'), failsWith('DST_E_RESENDS', 'EIO'));
  lives.world.dials = 'succeed';
  hold.release();
  const device = await lives.next(options);
  assert.equal(lives.record.unflushed, false);
  await lives.end(device);
});

test('an export that could not flush when it ended has lost what was inherited', async () => {
  const lives = new Lives();
  await lives.unflushed();
  const { device } = lives.world;
  // The client's, so that the export's own is the one that fails.
  let flushes = 0;
  const hold = device.hold(({ name }) => name === 'flush' && ++flushes === 1);
  device.failWhen(({ name }) =>
    name === 'flush' ? new DstError('DST_E_TEST', 'broken', { errno: 'EIO' }) : undefined,
  );
  const starting = lives.starting();
  starting.catch(() => {});
  await lives.world.comes(() => lives.commands.includes('flush'), 'a flush');
  const shutdown = lives.world.server.shutdown(1_000).catch(() => {});
  await assert.rejects(lives.world.ends(starting, 'the refusal'), LOST);
  assert.equal(lives.record.verifier, undefined);
  hold.release();
  await lives.world.ends(shutdown, 'the shutdown');
});

test('another verifier is recorded once the replay has ended', async () => {
  const lives = new Lives();
  const device = await lives.unflushed();
  lives.world.reboot();
  const hold = lives.world.device.hold(({ name }) => name === 'write');
  await lives.world.comes(() => lives.commands.includes('write'), 'the replay');
  assert.ok(!lives.record.verifier?.equals(lives.world.device.verifier));
  hold.release();
  await lives.world.comes(
    () => lives.record.verifier?.equals(lives.world.device.verifier) === true,
    'the new verifier',
  );
  await lives.end(device);
});

test('a replay that an ended process had begun cannot be ended by the next', async () => {
  const lives = new Lives();
  await lives.unflushed();
  lives.world.reboot();
  const hold = lives.world.device.hold(({ name }) => name === 'write');
  await lives.world.comes(() => lives.commands.includes('write'), 'the replay');
  const starting = lives.starting();
  starting.catch(() => {});
  hold.release();
  await assert.rejects(lives.world.ends(starting, 'the refusal'), LOST);
});

test('a flush that failed is recorded before it is told', async () => {
  const lives = new Lives();
  const device = await lives.unflushed();
  lives.world.device.failWhen(() => new DstError('DST_E_TEST', 'broken', { errno: 'EIO' }));
  let recorded: SessionRecord | undefined;
  const flushing = device.flush().catch(() => {
    recorded = lives.record;
  });
  await lives.world.ends(flushing, 'a flush');
  assert.equal(recorded?.unflushed, true);
  assert.equal(recorded?.verifier, undefined);
  lives.world.device.failWhen(() => undefined);
  await lives.end(device);
});
