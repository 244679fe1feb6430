/** The faults: one small function each, by how hard it is meant. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import { MIB } from '../support/end-to-end.js';
import { eventually, lasting } from './patience.js';
import type { Relay } from './relay.js';
import type { Scenario } from './scenario.js';

/** The longest that a change of address or path, or the end of an outage, may cost. */
const PROMISED_MS = 1_500;

/** What is random happens each second or so. */
const HAPPENS_WITHIN_MS = 30_000;

/** Writes that are acked and not flushed at a reboot: well below the replay buffer's default,
 * near which the client flushes by itself. */
const UNFLUSHED_BYTES = 6 * MIB;

export function nothing(seconds: number): Scenario {
  return {
    name: 'nothing',
    fault: `nothing, for comparison, ${seconds} s`,
    link: 'relay',
    async run() {
      await lasting(seconds * 1000);
      return [];
    },
  };
}

// ---- The export ----------------------------------------------------------------------

export function killed(times: number): Scenario {
  return {
    name: 'killed',
    fault: `the export killed (-9) and started again, ${times} times`,
    link: 'relay',
    async run({ exporting, load }) {
      const backMs: number[] = [];
      for (let i = 0; i < times; i++) {
        await exporting.kill();
        await exporting.start();
        backMs.push(await load.caughtUp());
        await load.progress(50);
      }
      return backMs;
    },
  };
}

export function frozen(seconds: number): Scenario {
  return {
    name: 'frozen',
    fault: `the export frozen (SIGSTOP) for ${seconds} s`,
    link: 'relay',
    async run({ exporting, load }) {
      exporting.freeze();
      await lasting(seconds * 1000);
      assert.ok(exporting.frozen, 'the export is frozen');
      exporting.thaw();
      return [await load.caughtUp()];
    },
  };
}

/**
 * The export's machine loses power: the store goes back to what was last flushed, and comes up
 * with another boot id. Each second time nothing was flushed since the reboot before, so that
 * what was replayed then must be replayed once more.
 */
export function rebooted(times: number): Scenario {
  return {
    name: 'rebooted',
    fault: `the export's machine rebooted, unflushed writes lost, ${times} times`,
    link: 'relay',
    // A flush or FUA write between the copy and the reboot would be lost with the copy.
    load: { durable: false },
    async run({ exporting, load, storePath }) {
      const flushedPath = `${storePath}.flushed`;
      const backMs: number[] = [];
      for (let boot = 0; boot < times; boot++) {
        if (boot % 2 === 0) await load.checkpoint(() => copyFileSync(storePath, flushedPath));
        await load.written(UNFLUSHED_BYTES);
        await exporting.kill();
        assert.ok(
          !readFileSync(flushedPath).equals(readFileSync(storePath)),
          'the reboot loses writes',
        );
        copyFileSync(flushedPath, storePath);
        await exporting.start(`reboot ${boot + 1}`);
        backMs.push(await load.caughtUp());
      }
      return backMs;
    },
  };
}

// ---- The link ------------------------------------------------------------------------

export function blackout(seconds: number): Scenario {
  return {
    name: `blackout-${seconds}`,
    fault: `the link dead for ${seconds} s`,
    link: 'relay',
    promise: { backMsMax: PROMISED_MS },
    async run({ relay, load }) {
      relay.set({ down: true });
      await lasting(seconds * 1000);
      relay.heal();
      const backMs = await load.caughtUp();
      await happened(() => relay.counters.cut);
      return [backMs];
    },
  };
}

/** Datagrams come from another port then; connections of TCP are reset. */
export function rebinding(everySeconds: number, times: number): Scenario {
  return {
    name: 'rebinding',
    fault: `a NAT that rebinds every ${everySeconds} s, ${times} times`,
    link: 'relay',
    promise: { stallMsMax: PROMISED_MS },
    async run({ relay }) {
      for (let i = 0; i < times; i++) {
        relay.rebind();
        await lasting(everySeconds * 1000);
      }
      await happened(() => relay.counters.rebindings, times);
      return [];
    },
  };
}

export function forgotten(everySeconds: number, times: number): Scenario {
  return {
    name: 'forgotten',
    fault: `a NAT that forgets its connections every ${everySeconds} s and tells nobody, ${times} times`,
    link: 'tcp-relay',
    promise: { stallMsMax: PROMISED_MS },
    async run({ relay }) {
      for (let i = 0; i < times; i++) {
        relay.forget();
        await lasting(everySeconds * 1000);
      }
      await happened(() => relay.counters.rebindings, times);
      return [];
    },
  };
}

export function lossy(seconds: number): Scenario {
  return {
    name: 'lossy',
    fault: `2 % loss each way, round trip 50 ms, ${seconds} s`,
    link: 'relay',
    async run({ relay }) {
      await degraded(relay, seconds, { delayMs: 25, lossShare: 0.02 });
      await happened(() => relay.counters.lost);
      relay.heal();
      return [];
    },
  };
}

export function reordered(seconds: number): Scenario {
  return {
    name: 'reordered',
    fault: `round trip 50 ms, jitter of ±10 ms that reorders, 1 % duplicates, ${seconds} s`,
    link: 'udp-relay',
    async run({ relay }) {
      await degraded(relay, seconds, { delayMs: 25, jitterMs: 10, duplicateShare: 0.01 });
      await happened(() => relay.counters.reordered);
      relay.heal();
      return [];
    },
  };
}

/** What reorders datagrams is nothing but jitter to TCP's users. */
export function jittery(seconds: number): Scenario {
  return {
    name: 'jittery',
    fault: `round trip 50 ms, jitter of ±10 ms, ${seconds} s`,
    link: 'tcp-relay',
    async run({ relay }) {
      await degraded(relay, seconds, { delayMs: 25, jitterMs: 10 });
      relay.heal();
      return [];
    },
  };
}

export function corrupted(seconds: number): Scenario {
  return {
    name: 'corrupted',
    fault: `one bit flipped in 1 of 1000 packets, ${seconds} s`,
    link: 'relay',
    async run({ relay }) {
      await degraded(relay, seconds, { corruptShare: 0.001 });
      await happened(() => relay.counters.corrupted);
      relay.heal();
      return [];
    },
  };
}

export function narrowed(seconds: number): Scenario {
  return {
    name: 'narrowed',
    // 1300 bytes of IP, as a tunnel leaves them.
    fault: `the path's MTU drops from 1500 to 1300, ${seconds} s`,
    link: 'udp-relay',
    async run({ relay }) {
      await degraded(relay, seconds, { datagramBytesMax: 1300 - 28 });
      await happened(() => relay.counters.tooLarge);
      relay.heal();
      return [];
    },
  };
}

async function degraded<Faults>(
  relay: Relay<Faults, unknown>,
  seconds: number,
  faults: Partial<Faults>,
): Promise<void> {
  relay.set(faults);
  await lasting(seconds * 1000);
}

/** Waits until it did: by chance, nothing may have come to harm yet. */
function happened(count: () => number, times = 1): Promise<void> {
  return eventually(() => count() >= times, HAPPENS_WITHIN_MS, 'the fault to happen');
}

// ---- The client's place in the network -----------------------------------------------

export function roaming(everySeconds: number): Scenario {
  return {
    name: 'roaming',
    fault: 'the client gets another address, moves to another network and back',
    link: 'namespaces',
    promise: { stallMsMax: PROMISED_MS },
    async run({ namespaces }) {
      const addresses = [namespaces.clientAddress];
      const steps = [
        () => namespaces.renumber('first', 3),
        // The new network is there before the old one goes, as from cable to radio.
        () => namespaces.routeOver('second'),
        () => namespaces.disconnect('first'),
        () => {
          namespaces.reconnect('first');
          namespaces.routeOver('first');
        },
        // All at once, with nothing there before.
        () => {
          namespaces.disconnect('first');
          namespaces.routeOver('second');
        },
      ];
      for (const step of steps) {
        step();
        addresses.push(namespaces.clientAddress);
        await lasting(everySeconds * 1000);
      }
      assert.deepEqual(addresses, [
        '10.77.1.2',
        '10.77.1.3',
        '10.77.2.2',
        '10.77.2.2',
        '10.77.1.3',
        '10.77.2.2',
      ]);
      return [];
    },
  };
}

/** The same over several connections, all of which the fault meets. */
export function overLanes(scenario: Scenario, lanes: number): Scenario {
  const { fault, connectArgs = [] } = scenario;
  return {
    ...scenario,
    fault: `${fault}, over ${lanes} lanes`,
    connectArgs: [...connectArgs, '--lanes', `${lanes}`],
  };
}
