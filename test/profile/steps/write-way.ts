import type { Step, Way } from './follow.js';

/** The way of a write, at depth 1, from its arrival at the bridge until the next one arrives. */
const ALL_STEPS: readonly Step[] = [
  { until: 'client: transaction run', what: 'bridge: parse and check the request' },
  { until: 'client: digest begins', what: 'client: id, credit, overlaps, slot' },
  { until: 'client: digest ends', what: 'client: checksum' },
  { until: 'client: stream write', what: 'client: encode the header' },
  { until: 'client: loop enter_write', what: 'client: copy into the engine' },
  { until: 'client: quic exit_poll', what: "client: the engine's thread wakes", last: true },
  { until: 'client: quic enter_sendmmsg', what: 'client: QUIC packets, encryption' },
  { until: 'export: quic exit_poll', what: "network, and the engine's thread wakes", last: true },
  { until: 'export: quic exit_recvmmsg', what: 'export: receive' },
  { until: 'export: quic enter_write', what: 'export: decryption, QUIC frames' },
  { until: 'export: loop exit_epoll_pwait', what: 'export: the event loop wakes', last: true },
  { until: 'export: request bytes', what: "export: the engine's event becomes objects" },
  { until: 'export: compare begins', what: 'export: decode the header, credit, fence' },
  { until: 'export: compare ends', what: 'export: checksum' },
  { until: 'export: storage begins', what: 'export: transaction table' },
  { until: 'export: storage ends', what: 'export: write into the page cache' },
  { until: 'export: stream write', what: 'export: promises, encode the reply' },
  { until: 'export: loop enter_write', what: 'export: copy into the engine' },
  { until: 'export: quic exit_poll', what: "export: the engine's thread wakes", last: true },
  { until: 'export: quic enter_sendmmsg', what: 'export: QUIC packets, encryption' },
  { until: 'client: quic exit_poll', what: "network, and the engine's thread wakes", last: true },
  { until: 'client: quic exit_recvmmsg', what: 'client: receive' },
  { until: 'client: quic enter_write', what: 'client: decryption, QUIC frames' },
  { until: 'client: loop exit_epoll_pwait', what: 'client: the event loop wakes', last: true },
  { until: 'client: reply bytes', what: "client: the engine's event becomes objects" },
  { until: 'client: reply decoded', what: 'client: decode the header' },
  { until: 'client: reply batched', what: 'client: replay log, slot, promises' },
  { until: 'client: reply flush', what: 'bridge: until the end of the turn' },
  { until: 'client: reply flushed', what: "bridge: write to the program's socket" },
  {
    until: 'client: loop exit_epoll_pwait',
    what: 'the program takes the reply and sends the next request',
    last: true,
  },
  { until: 'client: request received', what: "bridge: read the program's socket" },
];

/** Without the steps that end in the kernel where that could not be traced. */
export function wayOfWrite(traced: boolean): Way {
  const start = 'client: request received';
  if (traced) return { start, steps: ALL_STEPS };
  const fromKernel = (name: string) => /: (loop|quic) /.test(name);
  return {
    start,
    steps: ALL_STEPS.filter(({ until }) => !fromKernel(until)).map((step) =>
      COARSE.get(step.until) === undefined
        ? step
        : { ...step, what: COARSE.get(step.until) ?? step.what },
    ),
  };
}

const COARSE = new Map([
  ['export: request bytes', 'QUIC at both ends, network, three threads wake'],
  ['client: reply bytes', 'QUIC at both ends, network, three threads wake'],
  ['client: request received', 'the program takes the reply and sends the next request'],
]);
