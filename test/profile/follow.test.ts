import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Event, follow, medians, type Way } from './steps/follow.js';
import { nameEvents, parseTrace } from './steps/system-calls.js';
import { wayOfWrite } from './steps/write-way.js';

/** "name@time", in the order of time. */
function events(...texts: readonly string[]): Event[] {
  return texts.map((text) => {
    const [name = '', at] = text.split('@');
    return { name, atNs: Number(at) };
  });
}

const WAY: Way = {
  start: 'begin',
  steps: [
    { until: 'sent', what: 'send' },
    { until: 'woken', what: 'wake', last: true },
    { until: 'begin', what: 'answer' },
  ],
};

test('each step lasts until its event, and the last one until the next command', () => {
  const seen = events(
    'begin@0',
    'sent@3',
    'woken@7',
    'begin@10',
    'sent@11',
    'woken@12',
    'begin@20',
  );
  assert.deepEqual(follow(seen, WAY), [
    [3, 4, 3],
    [1, 1, 8],
  ]);
});

test('of several wake-ups the last before the next step counts', () => {
  const seen = events('woken@-1', 'begin@0', 'woken@1', 'sent@3', 'woken@5', 'woken@7', 'begin@10');
  assert.deepEqual(follow(seen, WAY), [[3, 4, 3]]);
});

test('a command of which a step was not seen is left out', () => {
  const seen = events(
    'begin@0',
    'sent@3',
    'begin@10',
    'sent@11',
    'woken@12',
    'begin@20',
    'sent@21',
  );
  assert.deepEqual(follow(seen, WAY), [[1, 1, 8]]);
});

test('medians are of each column', () => {
  const rows = [
    [1, 30],
    [2, 10],
    [90, 20],
  ];
  assert.deepEqual(medians(rows), [2, 20]);
});

test("a process's first thread is its loop, and the one that sends packets the engine's", () => {
  const trace = parseTrace(`
  10  5041.000000001: syscalls:sys_exit_epoll_pwait: 
  12  5041.000000002:           syscalls:sys_exit_poll: 
  11  5041.000000003: syscalls:sys_enter_write: 
  12  5042.000000004: syscalls:sys_enter_sendmmsg: 
`);
  assert.deepEqual(nameEvents(trace, 10, 'client'), [
    { name: 'client: loop exit_epoll_pwait', atNs: 5041_000_000_001 },
    { name: 'client: quic exit_poll', atNs: 5041_000_000_002 },
    { name: 'client: quic enter_sendmmsg', atNs: 5042_000_000_004 },
  ]);
});

test('where the kernel cannot be traced, the way has only what processes note themselves', () => {
  const { steps } = wayOfWrite(false);
  assert.ok(steps.length < wayOfWrite(true).steps.length);
  assert.deepEqual(
    steps.filter(({ until }) => /loop|quic/.test(until)),
    [],
  );
  assert.equal(steps.at(-1)?.until, 'client: request received');
});
