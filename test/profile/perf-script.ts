/**
 * Reads what `perf script -F comm,pid,tid,period,ip,sym,dso` prints: for each sample a line with
 * thread and period, then its frames, innermost first, then an empty line.
 */
import { basename } from 'node:path';
import { type Frame, type Stack, scriptFrame } from './stacks.js';

/** "node  1249/1274     1001001": the program, process and thread, and the period in ns. */
const SAMPLE = /^\S.*?\s+(\d+)\/(\d+)\s+(\d+)\s*$/;

/** "  fc26f __poll (/usr/lib/libc.so.6)": an address, what is there, and in what. */
const FRAME = /^\s+[0-9a-f]+ (.*) \((.*)\)$/;

/** A function of JavaScript in V8's map: how well it is compiled, its name, and its source. */
const SCRIPT = /^(?:JS|LazyCompile|Function|Script|Eval|RegExp):[~^*+]*(.*)$/;
const PLACE = /^(.*?) ?(\S+):\d+:\d+$/;

/** The stacks of each process, by its id; threads of other processes are there as well. */
export function parsePerfScript(text: string): Map<number, Stack[]> {
  const processes = new Map<number, Stack[]>();
  for (const block of text.split('\n\n')) {
    const lines = block.split('\n').filter((line) => line !== '');
    const sample = SAMPLE.exec(lines[0] ?? '');
    if (sample === null) continue;
    const [processId, threadId, periodNs] = sample.slice(1).map(Number) as [number, number, number];
    const frames = lines.slice(1).flatMap((line) => parseFrame(line) ?? []);
    const stacks = processes.get(processId) ?? [];
    stacks.push({ threadId, frames, weightUs: periodNs / 1000 });
    processes.set(processId, stacks);
  }
  return processes;
}

function parseFrame(line: string): Frame | undefined {
  const parts = FRAME.exec(line);
  if (parts === null) return undefined;
  const [, symbol = '', binary = ''] = parts;
  if (binary === '[kernel.kallsyms]' || binary === '[guest.kernel.kallsyms]') {
    return { name: symbol, kind: 'kernel', file: 'kernel' };
  }
  if (/\/perf-\d+\.map$/.test(binary)) return compiledFrame(symbol);
  // Where a library keeps no frame pointers, what was followed next was no return address.
  if (symbol === '[unknown]' && binary === '[unknown]') return undefined;
  const file = basename(binary);
  if (file.startsWith('http3.')) return { name: symbol, kind: 'engine', file: 'QUIC engine' };
  if (file === 'node' || file === 'node-MainThread') return { name: symbol, kind: 'node', file };
  return { name: symbol, kind: 'library', file };
}

/** What V8 made while it ran. */
function compiledFrame(symbol: string): Frame {
  const script = SCRIPT.exec(symbol)?.[1];
  if (script === undefined) return { name: symbol, kind: 'node', file: 'node' };
  if (script.startsWith('wasm-') || script.startsWith('js-to-wasm')) {
    return { name: script, kind: 'wasm', file: 'wasm' };
  }
  const [, name = '', location = ''] = PLACE.exec(script) ?? [undefined, script, ''];
  return scriptFrame(name === '' ? '(anonymous)' : name, location);
}
