/** Two network namespaces as two hosts, joined by what the benchmark is about. */
import { execFileSync, spawnSync } from 'node:child_process';
import { type Place, REMOTE_HOST } from './place.js';
import type { Rig } from './rig.js';

const CLIENT_HOST = '10.78.0.2';
const NETWORK = '10.78.0.0/24';
const MTU_BYTES = 1500;

/** What is dropped is dropped on the line, so where it can be counted. */
const QUEUE_PACKETS = 10_000;

let made = 0;

export class TwoHosts implements Place {
  readonly serverHost = REMOTE_HOST;
  readonly clientHost = CLIENT_HOST;
  readonly clientNetwork = NETWORK;
  /** Their names, as `ip netns` knows them. */
  readonly server: string;
  readonly client: string;

  /** Makes both; they go away with the rig. Needs root. */
  constructor(rig: Rig) {
    const id = `${process.pid}-${++made}`;
    this.server = `dst-bench-server-${id}`;
    this.client = `dst-bench-client-${id}`;
    rig.cleanup.after(() => {
      for (const space of [this.server, this.client]) spawnSync('ip', ['netns', 'del', space]);
    });
    for (const space of [this.server, this.client]) {
      ip('netns', 'add', space);
      ip('-n', space, 'link', 'set', 'lo', 'up');
    }
  }

  onServer(words: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.server, ...words];
  }

  onClient(words: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.client, ...words];
  }

  /** A network of two with the usual MTU, as fast as this machine is. */
  joinByWire(): void {
    const [device, peer] = ['wire', ['peer', 'name', 'wire', 'netns', this.client]];
    ip('-n', this.server, 'link', 'add', device, 'type', 'veth', ...peer);
    this.bringUp(device);
  }

  /** Gives the device that either host has by this name its address. */
  bringUp(device: string): void {
    for (const [space, host] of [
      [this.server, REMOTE_HOST],
      [this.client, CLIENT_HOST],
    ] as const) {
      ip('-n', space, 'addr', 'add', `${host}/24`, 'dev', device);
      const queue = ['txqueuelen', `${QUEUE_PACKETS}`];
      ip('-n', space, 'link', 'set', device, 'mtu', `${MTU_BYTES}`, ...queue, 'up');
    }
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
