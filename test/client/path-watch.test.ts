import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { watchPath } from '../../src/client/path-watch.js';
import type { Clock } from '../../src/clock.js';
import type { PeerAddress } from '../../src/transport/transport.js';
import { runModule } from '../support/run-module.js';
import { skipWithout } from '../support/tools.js';
import { until } from '../support/wait.js';

const PEER: PeerAddress = { address: '192.0.2.1', port: 4433 };

/** A watch whose looks happen when the test says, and what it called back. */
function watched(t: TestContext, peer: () => PeerAddress | undefined = () => PEER) {
  let task: (() => void) | undefined;
  const clock: Clock = {
    nowMs: () => 0,
    endOfTurn: setImmediate,
    after(_delayMs, later) {
      task = later;
      return {
        cancel: () => {
          task = undefined;
        },
      };
    },
  };
  const watch = { changes: 0, looks: 0, way: undefined as string | undefined };
  const stop = watchPath(peer, () => watch.changes++, {
    clock,
    look: async () => {
      watch.looks++;
      return watch.way;
    },
  });
  t.after(stop);
  return {
    watch,
    stop,
    isWaiting: () => task !== undefined,
    /** How often it called back at a look that sees this. */
    async see(way: string | undefined): Promise<number> {
      await until(() => task !== undefined, 'the look before');
      const before = watch.changes;
      watch.way = way;
      const look = task;
      task = undefined;
      look?.();
      await until(() => task !== undefined, 'the look');
      return watch.changes - before;
    },
  };
}

test('what is seen first, and again, is no news', async (t) => {
  const { see } = watched(t);
  await see('home');
  assert.equal(await see('home'), 0);
});

test('another way is news, once', async (t) => {
  const { see } = watched(t);
  await see('home');
  assert.equal(await see('mobile'), 1);
  assert.equal(await see('mobile'), 0);
  assert.equal(await see('home'), 1);
});

test('a way that is lost is news only when there is one again', async (t) => {
  const { see } = watched(t);
  await see('home');
  assert.equal(await see(undefined), 0);
  assert.equal(await see(undefined), 0);
  assert.equal(await see('home'), 1);
});

test('where there was no way at first, the first one is news', async (t) => {
  const { see } = watched(t);
  await see(undefined);
  assert.equal(await see('home'), 1);
});

test('the way to another peer is compared with nothing', async (t) => {
  let peer: PeerAddress | undefined = PEER;
  const { see, watch } = watched(t, () => peer);
  await see('home');
  peer = undefined;
  const looks = watch.looks;
  assert.equal(await see('home'), 0);
  assert.equal(watch.looks, looks, 'there is nothing to look at');
  peer = { address: '2001:db8::1', port: 4433 };
  assert.equal(await see('home, by IPv6'), 0);
  assert.equal(await see('mobile, by IPv6'), 1);
});

test('who stopped is not called, not even by a look in progress', async (t) => {
  const { see, stop, watch, isWaiting } = watched(t);
  await see('home');
  watch.way = 'mobile';
  stop();
  assert.equal(isWaiting(), false);

  let answer: (way: string) => void = () => {};
  let changes = 0;
  const stopLate = watchPath(
    () => PEER,
    () => changes++,
    { look: () => new Promise((resolve) => (answer = resolve)) },
  );
  stopLate();
  answer('home');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(changes, 0);
});

/** Runs a module in a process of its own, behind other words; the watch's module is `url`. */
function runWatch(t: TestContext, words: string[], script: string): Promise<string> {
  const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const imports = `
    import { execFileSync } from 'node:child_process';
    import { watchPath } from ${url('../../src/client/path-watch.js')};
    import { lookAtOwnPath } from ${url('../../src/transport/own-path.js')};
    import { until } from ${url('../support/wait.js')};`;
  return runModule(t, imports + script, words);
}

test('a watch keeps no process alive', async (t) => {
  const script = `
    watchPath(() => ({ address: '127.0.0.1', port: 9 }), () => {});
    console.log('watching');`;
  assert.equal(await runWatch(t, [], script), 'watching');
});

const NAMESPACE = ['unshare', '--net', '--map-root-user'];

function skipWithoutNamespace(): string | false {
  const missing = skipWithout('unshare', 'ip');
  if (missing !== false) return missing;
  const [program = '', ...rest] = NAMESPACE;
  const allowed = spawnSync(program, [...rest, 'true']).status === 0;
  return allowed ? false : 'this machine allows no network namespace here';
}

test('a machine that moves from one network to another', {
  skip: skipWithoutNamespace(),
}, async (t) => {
  const script = `
    const ip = (words) => execFileSync('ip', words.split(' '));
    ip('link add name home type veth peer name far');
    ip('link set home up');
    ip('link set far up');
    ip('address add 10.1.0.2/24 dev home');
    ip('route add default via 10.1.0.1');
    const ways = [];
    let changes = 0;
    const stop = watchPath(() => ({ address: '192.0.2.1', port: 9 }), () => changes++, {
      intervalMs: 5,
      look: async (peer) => {
        const way = await lookAtOwnPath(peer);
        ways.push(way);
        return way;
      },
    });
    const seen = (text) => until(() => (ways.at(-1) ?? 'none').startsWith(text), text);
    await seen('10.1.0.2;');

    ip('address add 10.2.0.2/24 dev home');
    ip('route add default via 10.2.0.1 metric 5');
    await until(() => changes === 1, 'a second default route');
    ip('address delete 10.1.0.2/24 dev home');
    await until(() => changes >= 2, 'the loss of the first address');
    await seen('10.2.0.2;');

    ip('route flush default');
    await seen('none');
    const before = changes;
    ip('route add default via 10.2.0.1');
    await until(() => changes === before + 1, 'the way that is back');
    stop();
    console.log('moved');`;
  assert.equal(await runWatch(t, NAMESPACE, script), 'moved');
});
