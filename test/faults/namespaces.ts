/**
 * Two network namespaces, as two machines that are joined by two networks: a client that roams
 * between them, or gets another address in one, and an export that stays where it is.
 *
 * ```
 *             10.77.1.0/24, network "first"
 *   client  ================================  export, 10.77.0.1
 *             10.77.2.0/24, network "second"
 * ```
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { MAIN, startProgram } from '../cli/command.js';
import type { Cleanup } from '../support/cleanup.js';
import { skipWithout } from '../support/tools.js';
import type { Launch } from './processes.js';

const NETWORKS = { first: 1, second: 2 } as const;

export type NetworkName = keyof typeof NETWORKS;

/** Host numbers in each network. */
const EXPORT_HOST = 1;
const CLIENT_HOST = 2;

/** Of the rule that drops packets, before all others of the kernel's routing. */
const DROP_PREFERENCE = 10;

let made = 0;

/** Why there can be no namespaces here; false where there can. */
export function skipWithoutNamespaces(): string | false {
  const missing = skipWithout('ip');
  if (missing !== false) return missing;
  if (process.getuid?.() !== 0) return 'only root makes network namespaces';
  const probe = `dst-quic-probe-${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', probe]).status !== 0) {
    return 'this machine allows no network namespaces';
  }
  ip('netns', 'del', probe);
  return false;
}

export class Namespaces {
  readonly #client: string;
  readonly #export: string;
  /** Where the export listens, whichever network its clients come from. */
  readonly exportHost = '10.77.0.1';
  /** Both networks, in which the client has its addresses. */
  readonly clientNetworks = '10.77.0.0/16';

  private constructor(client: string, exporting: string) {
    this.#client = client;
    this.#export = exporting;
  }

  /** Makes both; they go away with the test. */
  static start(t: Cleanup): Namespaces {
    const id = `${process.pid}-${++made}`;
    const spaces = new Namespaces(`dst-quic-client-${id}`, `dst-quic-export-${id}`);
    t.after(() => spaces.#remove());
    spaces.#make();
    return spaces;
  }

  readonly launchOnClient: Launch = (t, args, options) =>
    startProgram(t, 'ip', this.#inside(this.#client, args), options);

  readonly launchOnExport: Launch = (t, args, options) =>
    startProgram(t, 'ip', this.#inside(this.#export, args), options);

  /** The address from which the client would send now. */
  get clientAddress(): string {
    const route = ip('-n', this.#client, 'route', 'get', this.exportHost);
    return /src (\S+)/.exec(route)?.[1] ?? 'none';
  }

  /** The client's traffic takes this network from now on; the other one stays up. */
  routeOver(network: NetworkName): void {
    const gateway = `10.77.${NETWORKS[network]}.${EXPORT_HOST}`;
    ip('-n', this.#client, 'route', 'replace', 'default', 'via', gateway);
  }

  /** A network of the client goes down: what was sent from its address is lost. */
  disconnect(network: NetworkName): void {
    ip('-n', this.#client, 'link', 'set', network, 'down');
  }

  reconnect(network: NetworkName): void {
    ip('-n', this.#client, 'link', 'set', network, 'up');
  }

  /** The client's address in a network is taken away, and it gets another one. */
  renumber(network: NetworkName, host: number): void {
    ip('-n', this.#client, 'addr', 'flush', 'dev', network);
    ip('-n', this.#client, 'addr', 'add', `10.77.${NETWORKS[network]}.${host}/24`, 'dev', network);
    this.routeOver(network);
  }

  /** What the client sends by UDP is dropped on the export's side, and nobody is told. */
  dropUdp(): void {
    this.#exportRule('add');
  }

  passUdp(): void {
    this.#exportRule('del');
  }

  #exportRule(action: 'add' | 'del'): void {
    const rule = ['pref', `${DROP_PREFERENCE}`, 'iif', 'first', 'ipproto', 'udp', 'blackhole'];
    ip('-n', this.#export, 'rule', action, ...rule);
  }

  #make(): void {
    for (const space of [this.#client, this.#export]) {
      ip('netns', 'add', space);
      ip('-n', space, 'link', 'set', 'lo', 'up');
    }
    ip('-n', this.#export, 'addr', 'add', `${this.exportHost}/32`, 'dev', 'lo');
    for (const [network, number] of Object.entries(NETWORKS)) {
      const peer = ['peer', 'name', network, 'netns', this.#export];
      ip('-n', this.#client, 'link', 'add', network, 'type', 'veth', ...peer);
      for (const [space, host] of [
        [this.#client, CLIENT_HOST],
        [this.#export, EXPORT_HOST],
      ] as const) {
        ip('-n', space, 'addr', 'add', `10.77.${number}.${host}/24`, 'dev', network);
        ip('-n', space, 'link', 'set', network, 'up');
      }
    }
    // Else the export's own addresses would come before any rule that drops what is for them.
    ip('-n', this.#export, 'rule', 'add', 'pref', `${DROP_PREFERENCE + 1}`, 'lookup', 'local');
    ip('-n', this.#export, 'rule', 'del', 'pref', '0');
    this.routeOver('first');
  }

  #remove(): void {
    for (const space of [this.#client, this.#export]) spawnSync('ip', ['netns', 'del', space]);
  }

  #inside(space: string, args: readonly string[]): string[] {
    return ['netns', 'exec', space, process.execPath, MAIN, ...args];
  }
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}
