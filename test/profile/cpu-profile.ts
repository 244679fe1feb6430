/** Reads the profiles of V8's own sampler (`node --cpu-prof`): one thread, and only JavaScript. */
import { type Frame, type Stack, scriptFrame } from './stacks.js';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

/** A profile as V8 writes it; times are of the clock of `process.hrtime`, in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly startTime: number;
  readonly samples: readonly number[];
  /** From each sample to the one before it. */
  readonly timeDeltas: readonly number[];
}

/** From when until when samples count, microseconds of the same clock. */
export interface Window {
  readonly fromUs: number;
  readonly untilUs: number;
}

/** The thread is given the id 0, as V8 does not tell it. Idle time is left out. */
export function parseCpuProfile(profile: CpuProfile, { fromUs, untilUs }: Window): Stack[] {
  const framesOf = stackFinder(profile.nodes);
  const stacks: Stack[] = [];
  let atUs = profile.startTime;
  for (const [index, nodeId] of profile.samples.entries()) {
    const weightUs = profile.timeDeltas[index] ?? 0;
    atUs += weightUs;
    if (atUs < fromUs || atUs > untilUs || weightUs <= 0) continue;
    const frames = framesOf(nodeId);
    if (frames[0]?.name === '(idle)') continue;
    stacks.push({ threadId: 0, frames, weightUs });
  }
  return stacks;
}

function stackFinder(nodes: readonly ProfileNode[]): (nodeId: number) => readonly Frame[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id);
  const known = new Map<number, readonly Frame[]>();
  return (nodeId) => {
    const found = known.get(nodeId);
    if (found !== undefined) return found;
    const frames: Frame[] = [];
    for (let id: number | undefined = nodeId; id !== undefined; id = parents.get(id)) {
      const node = byId.get(id);
      if (node !== undefined && parents.has(id)) frames.push(frameOf(node));
    }
    known.set(nodeId, frames);
    return frames;
  };
}

function frameOf({ callFrame: { functionName, url } }: ProfileNode): Frame {
  if (url.startsWith('wasm:')) return { name: functionName, kind: 'wasm', file: 'wasm' };
  if (url !== '') return scriptFrame(functionName === '' ? '(anonymous)' : functionName, url);
  return { name: functionName, kind: 'node', file: 'node' };
}
