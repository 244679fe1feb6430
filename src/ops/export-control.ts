import { join } from 'node:path';
import { DstError } from '../errors.js';
import type { Log } from '../log.js';
import { COUNT_PARAMETER, type ExportStatus, LANES_PATH, STATUS_PATH } from './control-messages.js';
import { type Asked, type Control, serveControl } from './control-server.js';
import { exportsFolder } from './runtime-folder.js';

export interface ExportControlOptions {
  status(): ExportStatus;
  /** Lets each client have so many lanes; throws where that is no number of them. */
  limitLanes(count: string): void;
  readonly log: Log;
}

/** The control socket of this process as an export: `dst-quic lanes --export` finds it. */
export function startExportControl(options: ExportControlOptions): Promise<Control> {
  return serveControl({
    path: join(exportsFolder(), `${process.pid}.sock`),
    absent: '"dst-quic lanes --export" will not find this export',
    carryOut: async (asked) => carryOut(options, asked),
    log: options.log,
  });
}

function carryOut(options: ExportControlOptions, { wanted, parameters }: Asked): unknown {
  if (wanted === `GET ${STATUS_PATH}`) return options.status();
  if (wanted !== `POST ${LANES_PATH}`) {
    throw new DstError(
      'DST_E_CONTROL',
      `this export does not know "${wanted}": it may be of another version`,
    );
  }
  options.limitLanes(parameters.get(COUNT_PARAMETER) ?? '');
  return {};
}
