/** Samples of a process, as those who take them and those who read them see them. */

/** What a function is made of, which a flame graph shows by its colour. */
export type FrameKind =
  | 'kernel'
  /** The QUIC engine's binary. */
  | 'engine'
  /** Node's own program: V8, libuv, and what joins them. */
  | 'node'
  /** libc and other libraries of the system. */
  | 'library'
  /** JavaScript of this project, of a package, or of Node. */
  | 'ours'
  | 'package'
  | 'internal'
  | 'wasm'
  | 'unknown';

export interface Frame {
  readonly name: string;
  readonly kind: FrameKind;
  /** The source file of ours ("src/nbd/bridge.ts"), the package, or the program that it is in. */
  readonly file: string;
}

/** A stack that was seen, and how much processor time it stands for. */
export interface Stack {
  readonly threadId: number;
  /** Innermost first. */
  readonly frames: readonly Frame[];
  readonly weightUs: number;
}

/** A function of JavaScript, by the URL or path of its source as V8 tells it. */
export function scriptFrame(name: string, location: string): Frame {
  const ours = /\/dist\/((?:src|wasm|test)\/.*)\.c?js$/.exec(location)?.[1];
  if (ours !== undefined) return { name, kind: 'ours', file: `${ours}.ts` };
  const found = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(location)?.[1];
  if (found !== undefined) return { name, kind: 'package', file: found };
  return { name, kind: 'internal', file: location };
}

export function isScript({ kind }: Frame): boolean {
  return kind === 'ours' || kind === 'package' || kind === 'internal' || kind === 'wasm';
}

export function totalUs(stacks: readonly Stack[]): number {
  return stacks.reduce((sum, { weightUs }) => sum + weightUs, 0);
}
