/** What `make bench-growth` asks of the process that plays its clients, and what that answers. */
import type { Usage } from './growth-usage.js';

interface Where {
  readonly host: string;
  readonly port: number;
  readonly exportName: string;
  /** Path of the certificate that vouches for the export. */
  readonly caCertificate: string;
  readonly exportPid: number;
  /** Commands in flight, of all sessions together. */
  readonly depth: number;
  /** Of each. */
  readonly blockBytes: number;
}

export type ClientJob = Where &
  (
    | { readonly kind: 'sessions'; readonly sessions: number; readonly loadMs: number }
    | { readonly kind: 'transactions'; readonly transactions: number; readonly samples: number }
  );

export interface LoadResult {
  readonly perSecond: number;
  /** CPU of each process for one transaction, microseconds. */
  readonly clientCpuUs: number;
  readonly exportCpuUs: number;
}

interface Both {
  readonly client: Usage;
  readonly exporting: Usage;
}

export interface SessionsResult {
  readonly sessions: number;
  /** For each session, with several at once. */
  readonly connectMs: number;
  readonly before: Both;
  readonly connected: Both;
  readonly after: Both;
  /** Of one processor, while nobody sends a command. */
  readonly idleCpuShare: { readonly client: number; readonly exporting: number };
  readonly one: LoadResult;
  readonly all: LoadResult;
  readonly reconnects: number;
}

export interface TransactionsSample extends LoadResult {
  /** Done so far. */
  readonly transactions: number;
  readonly usage: Both;
  readonly clientHeapMib: number;
  readonly unflushedBytes: number;
  readonly resent: number;
}
