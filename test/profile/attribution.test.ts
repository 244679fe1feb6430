import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameCode, nameStep, nameThread } from './attribution.js';
import type { Frame, FrameKind, Stack } from './stacks.js';

/** "kind name" or "ours name file", innermost first. */
function stackOf(...texts: readonly string[]): Stack {
  const frames = texts.map((text): Frame => {
    const [kind = '', name = '', file = ''] = text.split(' ');
    return { kind: kind as FrameKind, name, file };
  });
  return { threadId: 1, frames, weightUs: 1 };
}

const LOOP = 'node uv_run';
const OURS = 'ours write src/block/quick-io.ts';

const CODE: readonly (readonly [string, Stack])[] = [
  ['kernel: pwrite64', stackOf('kernel ext4_write', 'kernel __x64_sys_pwrite64', OURS, LOOP)],
  ['kernel: write', stackOf('kernel eventfd_write', 'kernel ksys_write', 'library __write')],
  ['kernel: interrupts and the rest', stackOf('kernel handle_softirqs', OURS)],
  ['our JavaScript', stackOf(OURS, LOOP)],
  ['checksums (WebAssembly)', stackOf('wasm wasm-function[6]', OURS)],
  ['checksums (native)', stackOf('library blake3_hash_many_avx2 blake.linux-x64-gnu.node', OURS)],
  ['libc: copies', stackOf('library __memmove_avx_unaligned_erms', OURS)],
  ['QUIC engine: encryption', stackOf('engine _aesni_ctr32_ghash_6x')],
  ['QUIC engine: its allocator', stackOf('engine _rjem_je_malloc_default')],
  ['QUIC engine: the rest', stackOf('engine quiche::recv')],
  [
    'QUIC engine: objects of its events',
    stackOf('node v8::Object::Set', 'engine napi::call_js_cb', LOOP),
  ],
  ['V8: builtins and runtime', stackOf('node Builtins_ArrayPop', OURS, 'engine napi::call_js_cb')],
  ['V8: garbage collection', stackOf('node v8::X', 'node v8::internal::Heap::Scavenge', OURS)],
  ['Node and libuv', stackOf('node uv__io_poll', LOOP)],
];

for (const [code, stack] of CODE) {
  test(`kind of code: ${code}`, () => assert.equal(nameCode(stack), code));
}

const STEPS: readonly (readonly [string, string, Stack])[] = [
  ['export: storage', 'event loop', stackOf('kernel ext4_write', OURS, 'ours a src/export/b.ts')],
  ['checksum', 'event loop', stackOf('wasm wasm-function[6]', 'ours run src/export/executor.ts')],
  ['bridge: replies', 'event loop', stackOf('ours flush src/nbd/reply-writer.ts', LOOP)],
  ['bridge: requests', 'event loop', stackOf('ours receive src/nbd/transmission.ts', LOOP)],
  ['garbage collection', 'event loop', stackOf('node v8::internal::Scavenger', OURS)],
  ['hand to the QUIC engine', 'event loop', stackOf('kernel vfs_write', 'library __write')],
  ['the engine hands over its events', 'event loop', stackOf('engine napi::call_js_cb', LOOP)],
  ["the program's socket", 'event loop', stackOf('internal onStreamRead node:net', LOOP)],
  ['event loop: waiting', 'event loop', stackOf('kernel do_epoll_wait', LOOP)],
  ['QUIC thread: sendmmsg', 'QUIC engine', stackOf('kernel udp', 'kernel __x64_sys_sendmmsg')],
  ['QUIC thread: encryption', 'QUIC engine', stackOf('engine CRYPTO_gcm128_encrypt_ctr32')],
  ['thread pool', 'thread pool', stackOf('kernel __x64_sys_fdatasync', 'node uv__fs_work')],
];

for (const [step, thread, stack] of STEPS) {
  test(`step: ${step}`, () => assert.equal(nameStep(stack, thread), step));
}

const THREADS: readonly (readonly [string, number, Stack])[] = [
  ['event loop', 7, stackOf(LOOP)],
  ['QUIC engine', 8, stackOf('engine quiche::recv')],
  ['thread pool', 8, stackOf('kernel x', 'node uv__fs_work', 'node worker')],
  ["V8's helpers", 8, stackOf('node v8::X', 'node PlatformWorkerThread')],
  ['checksum threads', 8, stackOf('wasm wasm-function[6]', 'ours a wasm/hash-worker.ts')],
  ["QUIC engine's allocator", 8, stackOf('kernel madvise', 'engine background_thread_entry')],
  ['other threads', 8, stackOf('library start_thread')],
];

for (const [thread, threadId, stack] of THREADS) {
  test(`thread: ${thread}`, () => assert.equal(nameThread(7, threadId, [stack]), thread));
}
