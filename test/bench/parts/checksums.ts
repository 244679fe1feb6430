import { ALGORITHMS } from '../../../wasm/algorithms.js';
import { CHECKSUM_CELLS } from '../cells.js';
import type { Contender } from '../contenders.js';
import { LOOPBACK } from '../place.js';
import { Rig } from '../rig.js';
import { startOurs } from '../start-ours.js';
import { chosen, effort, measureAndPrint, type Part, SIZE_BYTES } from './part.js';

/** The one that is taken where nobody asks for another. */
const USUAL = 'blake3';

/** Of a quick run: the usual one, a much cheaper one, and what there is to be saved at all. */
const QUICK = [USUAL, 'xxh128', 'none'] as const;

/** Ours over QUIC, with a file, by checksum. */
export const checksums: Part = {
  title: 'dst-quic over QUIC with a file, by checksum',
  skip: () => false,
  programs: () => [],
  async run(t, settings) {
    const { quick, connectOptions, exportOptions } = settings;
    const rig = new Rig(t);
    const contenders: Contender[] = [];
    const names = ALGORITHMS.map(({ name }) => name);
    for (const name of quick ? QUICK : names) {
      const setup = {
        rig,
        place: LOOPBACK,
        sizeBytes: SIZE_BYTES,
        connectOptions: ['--checksum', name, ...connectOptions],
        exportOptions,
      };
      const ends = await startOurs(setup, { id: name, scheme: 'quic', store: 'file' });
      contenders.push({ name, ...ends });
    }
    const cells = chosen(CHECKSUM_CELLS, settings).slice(0, quick ? 2 : undefined);
    const field = { rig, place: LOOPBACK, contenders };
    const length = effort(settings, quick ? 400 : 1500, quick ? 1 : 3);
    return { results: await measureAndPrint(field, cells, length, USUAL) };
  },
};
