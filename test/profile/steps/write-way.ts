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
  { until: 'export: quic enter_sendmmsg', what: 'export: decryption, QUIC frames' },
  { until: 'export: quic enter_write', what: 'export: the engine sends its own ack first' },
  { until: 'export: loop exit_epoll_pwait', what: 'export: the event loop wakes', last: true },
  { until: 'export: request bytes', what: "export: the engine's event becomes objects" },
  { until: 'export: compare begins', what: 'export: decode the header, credit, fence' },
  { until: 'export: compare ends', what: 'export: checksum' },
  { until: 'export: storage begins', what: 'export: transaction table' },
  { until: 'export: storage ends', what: 'export: write into the page cache' },
  { until: 'export: loop enter_write', what: 'export: back to the library, which acks its events' },
  { until: 'export: stream write', what: 'export: that wakes the engine; promises, encode' },
  { until: 'export: loop enter_write', what: 'export: copy into the engine' },
  { until: 'export: quic exit_poll', what: "export: the engine's thread wakes", last: true },
  { until: 'export: quic enter_sendmmsg', what: 'export: QUIC packets, encryption' },
  { until: 'client: quic exit_poll', what: "network, and the engine's thread wakes", last: true },
  { until: 'client: quic exit_recvmmsg', what: 'client: receive' },
  { until: 'client: quic enter_sendmmsg', what: 'client: decryption, QUIC frames' },
  { until: 'client: quic enter_write', what: 'client: the engine sends its own ack first' },
  { until: 'client: loop exit_epoll_pwait', what: 'client: the event loop wakes', last: true },
  { until: 'client: reply bytes', what: "client: the engine's event becomes objects" },
  { until: 'client: reply decoded', what: 'client: decode the header' },
  { until: 'client: loop enter_write', what: 'client: replay log; the library acks its events' },
  { until: 'client: reply batched', what: 'client: that wakes the engine; promises' },
  { until: 'client: reply flush', what: 'bridge: until the end of the turn' },
  { until: 'client: reply flushed', what: "bridge: write to the program's socket" },
  {
    until: 'client: loop exit_epoll_pwait',
    what: 'the program takes the reply and sends the next request',
    last: true,
  },
  { until: 'client: request received', what: "bridge: read the program's socket" },
];

/** Without the steps that end in the kernel, where that could not be traced. */
export function wayOfWrite(traced: boolean): Way {
  const start = 'client: request received';
  if (traced) return { start, steps: ALL_STEPS };
  const steps = ALL_STEPS.filter(({ until }) => !/: (loop|quic) /.test(until));
  return { start, steps: steps.map((step) => ({ ...step, what: longerStep(step) })) };
}

/** What a step is that has taken in those before it. */
function longerStep({ until, what }: Step): string {
  switch (until) {
    case 'export: request bytes':
    case 'client: reply bytes':
      return 'QUIC at both ends, network, three threads wake';
    case 'export: stream write':
      return 'export: promises, encode the reply';
    case 'client: reply batched':
      return 'client: replay log, slot, promises';
    case 'client: request received':
      return 'the program takes the reply and sends the next request';
    default:
      return what;
  }
}
