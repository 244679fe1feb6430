import { mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generateCertificates } from '../../src/trust/generate.js';
import { type Cleanup, Cleanups } from '../support/cleanup.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { SERVER_HOSTS } from './place.js';
import { Process, type Program } from './processes.js';

type CertificateFiles = Awaited<ReturnType<typeof generateCertificates>>['files'];

/**
 * All that a part of the benchmark starts and leaves on the disk, so that it can be undone in
 * the right order, also when it is interrupted.
 */
export class Rig {
  /** On the disk of the checkout: that for temporary files may be memory. */
  readonly folder = mkdtempSync(join(REPOSITORY_ROOT, '.bench-'));
  readonly #processes: Process[] = [];
  readonly #cleanups = new Cleanups();
  #certificates: Promise<CertificateFiles> | undefined;
  #closed = false;

  constructor(t: Cleanup) {
    t.after(() => this.close());
  }

  /** For all hosts that a server may be on. */
  get certificates(): Promise<CertificateFiles> {
    this.#certificates ??= generateCertificates({
      directory: join(this.folder, 'certs'),
      hosts: [...SERVER_HOSTS],
      days: 2,
    }).then(({ files }) => files);
    return this.#certificates;
  }

  /** What is undone once no process is left. */
  get cleanup(): Cleanup {
    return this.#cleanups;
  }

  /** Starts a program; resolves once it is `ready`. */
  async start(program: Program, ready: (process: Process) => boolean): Promise<Process> {
    const process = this.#spawn(program);
    await process.until(ready);
    return process;
  }

  /** Runs a program to its end; returns what it printed. Throws unless it ended well. */
  run(words: readonly string[], name = words[0] ?? ''): Promise<string> {
    return this.#spawn({ name, words }).succeeded();
  }

  #spawn(program: Program): Process {
    if (this.#closed) throw new Error('the benchmark was interrupted');
    // Our own programs keep what they keep here, and meet nobody else's.
    const env = {
      ...process.env,
      // bin/dst-quic takes the first Node that it finds: the one that runs this.
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      TMPDIR: this.folder,
      STATE_DIRECTORY: join(this.folder, 'state'),
      CACHE_DIRECTORY: join(this.folder, 'cache'),
      DST_QUIC_RUNTIME_DIR: join(this.folder, 'runtime'),
      ...program.env,
    };
    const started = new Process({ ...program, env });
    this.#processes.push(started);
    return started;
  }

  /** Ends what was started last first, then removes the rest. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const process of this.#processes.reverse()) await process.stop();
    await this.#cleanups.run();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
