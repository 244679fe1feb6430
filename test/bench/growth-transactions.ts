/** Ten million transactions of one session: none may leave anything behind, or be slower. */
import type { TransactionsSample } from './growth-job.js';
import { withExport } from './growth-processes.js';
import { grewTooMuch, markdown, median } from './growth-table.js';

const TRANSACTIONS = 10_000_000;
const TRANSACTIONS_QUICK = 300_000;
const SAMPLES = 10;
const DEPTH = 128;
/** It is their number that counts here. */
const BLOCK_BYTES = 512;

/** Between the first sample, when all is warm, and the last. */
const MEMORY_MIB = { timesMax: 1.3, plusMax: 32 };

/** In CPU, which does not depend on who else uses the machine as much as the rate does. */
const CPU_US = { timesMax: 1.25, plusMax: 10 };

const HEAD = [
  'transactions',
  'per second',
  'client CPU us',
  'export CPU us',
  'client, MiB',
  'its heap, MiB',
  'export, MiB',
  'resent',
];

/** Prints the table; returns what is wrong. */
export async function growTransactions(quick: boolean): Promise<string[]> {
  const transactions = quick ? TRANSACTIONS_QUICK : TRANSACTIONS;
  console.log(
    `\n${transactions} transactions of ${BLOCK_BYTES} bytes, reads and writes, ${DEPTH} in flight:\n`,
  );
  const samples: TransactionsSample[] = [];
  await withExport([], async (exporting) => {
    const work = { transactions, samples: SAMPLES, depth: DEPTH, blockBytes: BLOCK_BYTES };
    const job = { kind: 'transactions', ...work } as const;
    for await (const sample of exporting.results<TransactionsSample>(job)) {
      samples.push(sample);
      process.stderr.write(`${sample.transactions} done, ${Math.round(sample.perSecond)}/s\n`);
    }
  });
  console.log(markdown(HEAD, samples.map(row)));
  return wrongWith(samples);
}

function row(sample: TransactionsSample): number[] {
  const { client, exporting } = sample.usage;
  return [
    sample.transactions,
    sample.perSecond,
    sample.clientCpuUs,
    sample.exportCpuUs,
    client.residentMib,
    sample.clientHeapMib,
    exporting.residentMib,
    sample.resent,
  ];
}

function wrongWith(samples: readonly TransactionsSample[]): string[] {
  const third = Math.ceil(samples.length / 3);
  const ends = [samples.slice(0, third), samples.slice(-third)];
  const compare = (of: (sample: TransactionsSample) => number) =>
    ends.map((end) => median(end.map(of)));
  return [
    grewTooMuch(
      'the client',
      compare(({ usage }) => usage.client.residentMib),
      MEMORY_MIB,
    ),
    grewTooMuch(
      'the export',
      compare(({ usage }) => usage.exporting.residentMib),
      MEMORY_MIB,
    ),
    grewTooMuch(
      'CPU of the client',
      compare(({ clientCpuUs }) => clientCpuUs),
      CPU_US,
    ),
    grewTooMuch(
      'CPU of the export',
      compare(({ exportCpuUs }) => exportCpuUs),
      CPU_US,
    ),
  ].filter((each) => each !== undefined);
}
