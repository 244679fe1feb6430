/*
 * A wide-area link between two network namespaces, for kernels that have no netem.
 *
 *   link NAMESPACE_A NAMESPACE_B RTT_US LOSS_PPM RATE_KBIT QUEUE_BYTES
 *
 * In each namespace, of which /run/netns/NAME must exist, it makes a TUN device "wide" with an MTU
 * of 1500, and carries every IPv4 packet to the other. In each direction a line of RATE_KBIT takes
 * one packet after the other, what would wait behind QUEUE_BYTES is dropped, every packet is lost
 * by chance, LOSS_PPM in a million, and what is left arrives half of RTT_US later. Nothing is
 * reordered. "ready" is printed when the devices are there, and counters when standard input
 * ends; the devices go away with the process.
 *
 * A packet each would cost more processor time than all else that is measured. So the devices
 * offer what network cards do: TCP and UDP hand over many packets as one, to be cut later. Here
 * they are counted, delayed, queued and lost as the many that they are, and stay together where
 * none between them is lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <linux/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Not in older headers: UDP packets that are handed over as one (Linux 6.2). */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
  OFFLOAD_BYTES = sizeof(struct virtio_net_hdr),
  FRAME_BYTES_MAX = OFFLOAD_BYTES + 65535,
  RING_FRAMES = 1 << 16, /* a power of two */
  BURST_FRAMES = 32,     /* read from one side before the other gets its turn */
};

static const uint64_t SECOND_NS = 1000000000;

static uint64_t delay_ns;
static uint64_t loss_ppm;
static uint64_t rate_kbit;
static uint64_t queue_ns; /* as long as the line takes for the bytes of the queue */

/* What is on its way: an offload header, as TUN devices put it before packets, and the packet. */
struct frame {
  uint64_t due_ns;
  size_t length;
  uint8_t bytes[];
};

struct direction {
  int from, to;
  uint64_t line_free_ns; /* when the line has sent all that it was given */
  struct frame **ring;
  uint32_t head, tail;
  uint64_t carried, lost, overflowed;
};

/* A frame that was read, as the packets that it stands for. */
struct batch {
  uint8_t *bytes;
  size_t length;
  size_t headers;       /* the offload header, and IP's and TCP's or UDP's */
  size_t segment_bytes; /* of payload, in each packet but the last */
  uint32_t segments;
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

/* xorshift64*, from the same seed each time. */
static int by_chance(uint64_t ppm) {
  static uint64_t state = 88172645463325252ull;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return ((state * 2685821657736338717ull) >> 32) % 1000000 < ppm;
}

/* ---- Devices ------------------------------------------------------------------------ */

static int open_device(const char *namespace) {
  char path[128];
  snprintf(path, sizeof path, "/run/netns/%s", namespace);
  int space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET)) fail(path);
  close(space);
  int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_name = "wide", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
  if (ioctl(device, TUNSETIFF, &request)) fail("TUNSETIFF");
  unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (ioctl(device, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6)
      && ioctl(device, TUNSETOFFLOAD, tcp)) fail("TUNSETOFFLOAD");
  return device;
}

/* ---- Packets that were handed over as one ------------------------------------------- */

static struct iphdr *ip_of(uint8_t *bytes) { return (struct iphdr *)(bytes + OFFLOAD_BYTES); }

static uint8_t *transport_of(uint8_t *bytes) {
  return bytes + OFFLOAD_BYTES + ip_of(bytes)->ihl * 4u;
}

/* What it stands for; no segments at all where it is not for this link. */
static struct batch look_into(uint8_t *bytes, size_t length) {
  struct batch batch = {.bytes = bytes, .length = length, .headers = length, .segments = 1};
  if (length < OFFLOAD_BYTES + sizeof(struct iphdr) || ip_of(bytes)->version != 4) {
    batch.segments = 0;
    return batch;
  }
  struct virtio_net_hdr *offload = (struct virtio_net_hdr *)bytes;
  if (offload->gso_type == VIRTIO_NET_HDR_GSO_NONE) return batch;
  size_t transport = (size_t)(transport_of(bytes) - bytes);
  batch.headers = transport + (ip_of(bytes)->protocol == IPPROTO_TCP
    ? ((struct tcphdr *)(bytes + transport))->doff * 4u : sizeof(struct udphdr));
  batch.segment_bytes = offload->gso_size;
  size_t payload = length - batch.headers;
  batch.segments = (uint32_t)((payload + batch.segment_bytes - 1) / batch.segment_bytes);
  return batch;
}

static uint32_t sum_words(const void *from, size_t length) {
  const uint16_t *words = from;
  uint32_t sum = 0;
  for (size_t i = 0; i < length / 2; i++) sum += words[i];
  return sum;
}

static uint16_t fold(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

/* Where a checksum is left to the device, the field holds the sum of the pseudo-header. */
static uint16_t pseudo_header_sum(const struct iphdr *ip, size_t length) {
  return fold(sum_words(&ip->saddr, 8) + htons(ip->protocol) + htons((uint16_t)length));
}

/* Makes headers that were copied fit packets `first` up to `last` (not included) of a batch. */
static void fit_headers(uint8_t *bytes, size_t length, const struct batch *batch,
                        uint32_t first, uint32_t last) {
  struct virtio_net_hdr *offload = (struct virtio_net_hdr *)bytes;
  offload->hdr_len = (uint16_t)(batch->headers - OFFLOAD_BYTES);
  if (last - first == 1) {
    offload->gso_type = VIRTIO_NET_HDR_GSO_NONE;
    offload->gso_size = 0;
  }
  struct iphdr *ip = ip_of(bytes);
  ip->tot_len = htons((uint16_t)(length - OFFLOAD_BYTES));
  ip->id = htons((uint16_t)(ntohs(ip->id) + first));
  ip->check = 0;
  ip->check = (uint16_t)~fold(sum_words(ip, ip->ihl * 4u));
  uint8_t *transport = transport_of(bytes);
  size_t transport_bytes = length - (size_t)(transport - bytes);
  if (ip->protocol == IPPROTO_TCP) {
    struct tcphdr *tcp = (struct tcphdr *)transport;
    tcp->seq = htonl(ntohl(tcp->seq) + first * (uint32_t)batch->segment_bytes);
    if (last < batch->segments) tcp->fin = tcp->psh = 0;
    if (first > 0) tcp->cwr = 0;
    tcp->check = pseudo_header_sum(ip, transport_bytes);
  } else {
    struct udphdr *udp = (struct udphdr *)transport;
    udp->len = htons((uint16_t)transport_bytes);
    udp->check = pseudo_header_sum(ip, transport_bytes);
  }
}

/* ---- The line ----------------------------------------------------------------------- */

/* Packets `first` up to `last` (not included) of a batch have been sent, and will arrive. */
static void carry(struct direction *line, const struct batch *batch, uint32_t first, uint32_t last) {
  if (first == last) return;
  if (line->tail - line->head == RING_FRAMES) {
    line->overflowed += last - first;
    return;
  }
  size_t begin = batch->headers + first * batch->segment_bytes;
  size_t end = last == batch->segments ? batch->length : batch->headers + last * batch->segment_bytes;
  size_t length = batch->headers + (end - begin);
  struct frame *frame = malloc(sizeof *frame + length);
  if (frame == NULL) fail("malloc");
  memcpy(frame->bytes, batch->bytes, batch->headers);
  memcpy(frame->bytes + batch->headers, batch->bytes + begin, end - begin);
  if (last - first < batch->segments) fit_headers(frame->bytes, length, batch, first, last);
  frame->length = length;
  frame->due_ns = line->line_free_ns + delay_ns;
  line->ring[line->tail++ % RING_FRAMES] = frame;
  line->carried += last - first;
}

/* Sends one packet; false where it will not arrive. */
static int send_packet(struct direction *line, uint64_t now, size_t length) {
  if (line->line_free_ns < now) line->line_free_ns = now;
  if (line->line_free_ns - now > queue_ns) {
    line->overflowed++;
    return 0;
  }
  line->line_free_ns += length * 8000000 / rate_kbit;
  if (!by_chance(loss_ppm)) return 1;
  line->lost++;
  return 0;
}

static void take_in(struct direction *line) {
  static uint8_t bytes[FRAME_BYTES_MAX];
  uint64_t now = now_ns();
  for (int i = 0; i < BURST_FRAMES; i++) {
    ssize_t length = read(line->from, bytes, sizeof bytes);
    if (length <= 0) return;
    struct batch batch = look_into(bytes, (size_t)length);
    uint32_t first = 0;
    for (uint32_t each = 0; each < batch.segments; each++) {
      /* The last one is shorter, which would change no figure. */
      size_t packet = batch.headers - OFFLOAD_BYTES + batch.segment_bytes;
      if (send_packet(line, now, packet)) continue;
      carry(line, &batch, first, each);
      first = each + 1;
    }
    carry(line, &batch, first, batch.segments);
  }
}

static void hand_out(struct direction *line, uint64_t now) {
  while (line->head != line->tail) {
    struct frame *frame = line->ring[line->head % RING_FRAMES];
    if (frame->due_ns > now) return;
    if (write(line->to, frame->bytes, frame->length) < 0) line->overflowed++;
    free(frame);
    line->head++;
  }
}

/* How long until the next packet arrives; a second where none is on its way. */
static uint64_t wait_ns(const struct direction *lines, uint64_t now) {
  uint64_t wait = SECOND_NS;
  for (int i = 0; i < 2; i++) {
    if (lines[i].head == lines[i].tail) continue;
    uint64_t due = lines[i].ring[lines[i].head % RING_FRAMES]->due_ns;
    if (due <= now) return 0;
    if (due - now < wait) wait = due - now;
  }
  return wait;
}

static uint64_t number(const char *text) { return strtoull(text, NULL, 10); }

int main(int count, char **words) {
  if (count != 7) {
    fputs("usage: link NAMESPACE_A NAMESPACE_B RTT_US LOSS_PPM RATE_KBIT QUEUE_BYTES\n", stderr);
    return 2;
  }
  delay_ns = number(words[3]) * 1000 / 2;
  loss_ppm = number(words[4]);
  rate_kbit = number(words[5]);
  queue_ns = number(words[6]) * 8000000 / rate_kbit;
  int a = open_device(words[1]), b = open_device(words[2]);
  struct direction lines[2] = {{.from = a, .to = b}, {.from = b, .to = a}};
  for (int i = 0; i < 2; i++) lines[i].ring = calloc(RING_FRAMES, sizeof *lines[i].ring);
  /* Else what is due is handed out some 50 us late. */
  prctl(PR_SET_TIMERSLACK, 1);
  puts("ready");
  fflush(stdout);
  struct pollfd events[3] = {{a, POLLIN, 0}, {b, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  while (!events[2].revents) {
    uint64_t now = now_ns();
    for (int i = 0; i < 2; i++) hand_out(&lines[i], now);
    struct timespec wait = {0, 0};
    uint64_t wait_for_ns = wait_ns(lines, now);
    wait.tv_sec = (time_t)(wait_for_ns / SECOND_NS);
    wait.tv_nsec = (long)(wait_for_ns % SECOND_NS);
    if (ppoll(events, 3, &wait, NULL) < 0 && errno != EINTR) fail("ppoll");
    for (int i = 0; i < 2; i++) if (events[i].revents) take_in(&lines[i]);
  }
  for (int i = 0; i < 2; i++) {
    printf("carried %llu lost %llu overflowed %llu\n", (unsigned long long)lines[i].carried,
      (unsigned long long)lines[i].lost, (unsigned long long)lines[i].overflowed);
  }
  return 0;
}
