import { skipWithoutNamespaces } from '../../faults/namespaces.js';
import { NETWORK_CELLS } from '../cells.js';
import { BASELINE, type ContenderName, programsOf, startContenders } from '../contenders.js';
import { Rig } from '../rig.js';
import { TwoHosts } from '../two-hosts.js';
import { chosen, effort, measureAndPrint, type Part, SIZE_BYTES } from './part.js';

const CONTENDERS: readonly ContenderName[] = ['nbd-tls', 'nbd-plain', 'quic'];

/** Server and client as two hosts, joined by a network with the usual MTU. */
export const mtu: Part = {
  title: 'An MTU of 1500, between two network namespaces',
  skip: skipWithoutNamespaces,
  programs: () => ['ip', ...programsOf(CONTENDERS)],
  async run(t, settings) {
    const { quick, connectOptions, exportOptions } = settings;
    const rig = new Rig(t);
    const place = new TwoHosts(rig);
    place.joinByWire();
    const names = CONTENDERS.filter((name) => settings.contenders.includes(name));
    const setup = { rig, place, sizeBytes: SIZE_BYTES, connectOptions, exportOptions };
    const contenders = await startContenders(names, setup);
    const cells = chosen(NETWORK_CELLS, settings).filter((_, i) => !quick || i % 2 === 0);
    const length = effort(settings, quick ? 500 : 1500, quick ? 1 : 5);
    return { results: await measureAndPrint({ rig, place, contenders }, cells, length, BASELINE) };
  },
};
