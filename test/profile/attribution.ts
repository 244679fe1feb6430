/** Says of a sample whose time it is: which thread's, in what kind of code, for which step. */
import { type Frame, isScript, type Stack } from './stacks.js';

const COLLECTING =
  /CollectGarbage|Scaveng|MarkCompact|Sweep|Marking|Evacuat|SecondPassPhantomCallbacks|FinalizerRunner|DrainFinalizerQueue/;
const COMPILING = /Compil|Turbofan|Maglev|compiler::|baseline::|interpreter::|Parser|Deoptimizer/;
const ENCRYPTING = /aes|gcm|ghash|chacha|poly1305|AEAD|aead|EVP_|CRYPTO_|HMAC|SHA\d|[Hh]kdf/;
const ALLOCATING = /_rjem_|je_|^pac_|^extent_|tcache|rallocx|arena_/;
const COPYING = /mem(cpy|move|set)/;

const HAND_OVER = 'hand to the QUIC engine';

/** What this thread is for, by what was seen on it. */
export function nameThread(processId: number, threadId: number, stacks: readonly Stack[]): string {
  if (threadId === processId || threadId === 0) return 'event loop';
  const share = (test: (frame: Frame) => boolean) =>
    stacks.filter(({ frames }) => frames.some(test)).length / Math.max(1, stacks.length);
  const named = (pattern: RegExp) => share(({ name }) => pattern.test(name));
  if (named(/background_thread_entry/) > 0.2) return "QUIC engine's allocator";
  if (share(isScript) > 0.2) return 'checksum threads';
  if (named(/PlatformWorkerThread/) > 0.2) return "V8's helpers";
  if (named(/^worker$|uv__work|uv__fs_work/) > 0.2) return 'thread pool';
  if (share(({ kind }) => kind === 'engine') > 0.1) return 'QUIC engine';
  return 'other threads';
}

/** In what kind of code the time was spent, by the innermost frames. */
export function nameCode({ frames }: Stack): string {
  const leaf = frames[0];
  if (leaf === undefined) return 'unknown';
  if (leaf.kind === 'kernel') return `kernel: ${systemCallOf(frames)}`;
  if (isCollecting(frames)) return 'V8: garbage collection';
  if (leaf.kind === 'wasm') return 'checksums (WebAssembly)';
  if (isHashing(leaf)) return 'checksums (native)';
  if (leaf.kind === 'ours') return 'our JavaScript';
  if (leaf.kind === 'package') return "packages' JavaScript";
  if (leaf.kind === 'internal') return "Node's JavaScript";
  if (isHandingOver(frames)) return 'QUIC engine: objects of its events';
  if (leaf.kind === 'engine') return nameEngineCode(leaf.name);
  if (COPYING.test(leaf.name)) return 'libc: copies';
  if (leaf.kind === 'node') return nameNodeCode(frames);
  return frames.some(({ kind }) => kind === 'engine') ? 'QUIC engine: the rest' : 'libc: the rest';
}

/** Which step of a command the time was spent for, whoever's code did it. */
export function nameStep({ frames }: Stack, thread: string): string {
  if (thread === 'QUIC engine') return nameEngineStep(frames);
  if (thread !== 'event loop' && thread !== 'checksum threads') return thread;
  if (isCollecting(frames)) return 'garbage collection';
  if (frames.some(isHashing)) return 'checksum';
  const file = frames.find(({ kind }) => kind === 'ours')?.file;
  const step = STEPS.find(([prefix]) => file?.startsWith(prefix));
  if (step !== undefined) return step[1];
  // The engine's own stacks end in the middle, as it keeps no frame pointers.
  const rooted = frames.some((frame) => frame.kind === 'node' || isScript(frame));
  if (!rooted && has(frames, /^(eventfd_write|__GI___libc_write|__write)$/)) return HAND_OVER;
  if (!rooted && frames[0]?.kind === 'library') return 'native code without a stack';
  if (has(frames, /stream_send|_doSend/)) return HAND_OVER;
  if (frames.some(({ kind }) => kind === 'engine')) return 'the engine hands over its events';
  if (has(frames, /uv__stream_io|uv__read|uv__write|onStreamRead|LibuvStreamWrap|StreamBase/)) {
    return "the program's socket";
  }
  if (has(frames, /epoll_pwait|do_epoll_wait/)) return 'event loop: waiting';
  if (has(frames, /Microtask/)) return 'event loop: promises';
  return 'event loop: the rest';
}

/** By the innermost file of ours; the first that fits counts. */
const STEPS: readonly (readonly [prefix: string, step: string])[] = [
  ['src/nbd/repl', 'bridge: replies'],
  ['src/nbd/', 'bridge: requests'],
  ['src/protocol/', 'frames: encode and decode'],
  ['wasm/', 'checksum'],
  ['src/client/', 'client: transactions'],
  ['src/transaction/', 'client: transactions'],
  ['src/transport/', HAND_OVER],
  ['src/export/', 'export: sessions and answers'],
  ['src/block/', 'export: storage'],
];

function nameEngineStep(frames: readonly Frame[]): string {
  if (frames[0]?.kind === 'kernel') return `QUIC thread: ${systemCallOf(frames)}`;
  if (ENCRYPTING.test(frames[0]?.name ?? '')) return 'QUIC thread: encryption';
  if (has(frames, /napi_/)) return 'QUIC thread: waking the event loop';
  return 'QUIC thread: the rest';
}

function nameEngineCode(name: string): string {
  if (ENCRYPTING.test(name)) return 'QUIC engine: encryption';
  return ALLOCATING.test(name) ? 'QUIC engine: its allocator' : 'QUIC engine: the rest';
}

function nameNodeCode(frames: readonly Frame[]): string {
  const name = frames[0]?.name ?? '';
  if (has(frames, COMPILING)) return 'V8: compiling';
  if (/^Builtins_|^v8::|^heap::/.test(name)) return 'V8: builtins and runtime';
  return 'Node and libuv';
}

/** The engine's events become objects of JavaScript: its native code calls V8, not the reverse. */
function isHandingOver(frames: readonly Frame[]): boolean {
  const inner = frames.find((frame) => frame.kind === 'engine' || isScript(frame));
  return inner?.kind === 'engine' && has(frames, /call_js_cb|bindgen_runtime/);
}

/** In WebAssembly or in the native library: V8 may have put our function into its caller. */
function isHashing({ kind, file }: Frame): boolean {
  return kind === 'wasm' || (kind === 'library' && file.startsWith('blake'));
}

function isCollecting(frames: readonly Frame[]): boolean {
  return has(
    frames.filter(({ kind }) => kind === 'node'),
    COLLECTING,
  );
}

/** The system call that the kernel was in, as its own source names it: "sendmmsg", "poll". */
function systemCallOf(frames: readonly Frame[]): string {
  for (const { name } of frames) {
    const call = /^(?:__(?:x64|arm64)_sys|ksys)_(\w+)$/.exec(name)?.[1];
    if (call !== undefined) return call;
    if (/page_fault|exc_page/.test(name)) return 'page faults';
  }
  return 'interrupts and the rest';
}

function has(frames: readonly Frame[], pattern: RegExp): boolean {
  return frames.some(({ name }) => pattern.test(name));
}
