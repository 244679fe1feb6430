import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePerfScript } from './perf-script.js';

const TEXT = `node  1249/1274     1001001 
	ffffffff816db4f1 __x64_sys_poll ([kernel.kallsyms])
	           fc26f __poll (/usr/lib/x86_64-linux-gnu/libc.so.6)

engine thread 3  1249/1249     2000000 
	          198561 <quiche::packet::Header as core::ops::Drop>::drop (/a/node_modules/@currentspace/http3/http3.linux-x64-gnu.node)
	               0 [unknown] ([unknown])
	    7f898811a801 JS:^#flush file:///home/me/dst-quic/dist/src/nbd/reply-writer.js:63:23 (/tmp/perf-1249.map)
	    7f898811a802 JS:* file:///home/me/dst-quic/dist/src/client/link.js:1:2 (/tmp/perf-1249.map)
	    7f898811a803 JS:*pack file:///home/me/node_modules/msgpackr/pack.js:472:16 (/tmp/perf-1249.map)
	    7f8988119839 JS:^processImmediate node:internal/timers:438:28 (/tmp/perf-1249.map)
	    7f8988119840 JS:wasm-function[6]-6-turbofan (/tmp/perf-1249.map)
	         14ce0dc Builtins_JSEntry (/usr/bin/node)

node  7/7     1000000 
`;

test('samples belong to their process and thread, and weigh their period', () => {
  const processes = parsePerfScript(TEXT);
  assert.deepEqual([...processes.keys()], [1249, 7]);
  const stacks = processes.get(1249) ?? [];
  assert.deepEqual(
    stacks.map(({ threadId, weightUs }) => [threadId, weightUs]),
    [
      [1274, 1001.001],
      [1249, 2000],
    ],
  );
});

test('frames are named, innermost first, with what they are in', () => {
  const [first, second] = parsePerfScript(TEXT).get(1249) ?? [];
  assert.deepEqual(first?.frames, [
    { name: '__x64_sys_poll', kind: 'kernel', file: 'kernel' },
    { name: '__poll', kind: 'library', file: 'libc.so.6' },
  ]);
  assert.deepEqual(
    second?.frames.map(({ name, kind, file }) => [name, kind, file]),
    [
      ['<quiche::packet::Header as core::ops::Drop>::drop', 'engine', 'QUIC engine'],
      ['#flush', 'ours', 'src/nbd/reply-writer.ts'],
      ['(anonymous)', 'ours', 'src/client/link.ts'],
      ['pack', 'package', 'msgpackr'],
      ['processImmediate', 'internal', 'node:internal/timers'],
      ['wasm-function[6]-6-turbofan', 'wasm', 'wasm'],
      ['Builtins_JSEntry', 'node', 'node'],
    ],
  );
});
