/**
 * Every bound of the project, with its unit in its name and the reason beside it.
 * A new queue, buffer or timer gets its bound here, never in place.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

// ---- Block devices -------------------------------------------------------------------

/** Sizes and offsets are JavaScript numbers, exact up to 2^53: 8 PiB leaves headroom. */
export const DEVICE_BYTES_MAX = 2 ** 53 - 2 ** 40;

/** The smallest unit that any disk offers; sizes must be a multiple of it. */
export const SECTOR_BYTES = 512;

// ---- Buffers -------------------------------------------------------------------------

/** Free buffers that one pool keeps for reuse; beyond it they are left to the collector. More
 * makes nothing faster, and stays resident for ever after one large copy. */
export const BUFFER_POOL_FREE_BYTES_MAX = 8 * MIB;

/** Pooled buffers come in powers of two from this size (one page) ... */
export const BUFFER_POOL_SLAB_BYTES_MIN = 4 * KIB;

/** ... to this one; larger ones are rare enough to allocate. */
export const BUFFER_POOL_SLAB_BYTES_MAX = 2 * MIB;

/** Frames' headers are cut from buffers of this size: some 150 of them. */
export const FRAME_HEAD_SLAB_BYTES = 8 * KIB;

// ---- Local files and disks -----------------------------------------------------------

/** System calls made through koffi at once: the call stacks that it keeps for reuse. */
export const NATIVE_CALLS_MAX = 8;

/** Zeroes that one call writes: bounds memory, and lets other commands in between. */
export const ZERO_WRITE_BYTES_MAX = 1 * MIB;

/** Bytes that one ioctl zeroes or discards: it holds a pool thread and can't be stopped. */
export const DISK_RANGE_BYTES_MAX = 128 * MIB;

/** Extents in one answer about a store's blocks: each costs a file a system call. */
export const BLOCK_STATUS_EXTENTS_MAX = 128;

/** How far one such answer walks through memory, chunk by chunk: some 2 ms of the event loop. */
export const MEMORY_STATUS_BYTES_MAX = 4096 * MIB;

// ---- Quick I/O -----------------------------------------------------------------------

/** The largest read or write that is tried at once on the event loop: what one transaction of
 * a split command moves. Copying it takes some 60 us, and sixteen threads that write to one
 * file take turns at its lock anyway. */
export const QUICK_IO_BYTES_MAX = 256 * KIB;

/** A write into the page cache that takes longer has waited for the disk, or for a flush ... */
export const QUICK_WRITE_SLOW_MS = 4;

/** ... and then writes go through the thread pool for so many times as long as it took: a slow
 * disk may hold the event loop up for a tenth of the time, and one that was slow once, as many
 * are while they flush, costs little. */
export const QUICK_WRITE_PAUSE_FACTOR = 9;

/** And no longer than this, however long a disk hung. */
export const QUICK_WRITE_PAUSE_MS_MAX = 10_000;

// ---- NBD bridge ----------------------------------------------------------------------

/** NBD's own ceiling for a request's payload: what every client may send unasked. */
export const NBD_PAYLOAD_BYTES_MAX = 32 * MIB;

/** Option data that a client may send while it negotiates: names are at most 4 KiB. */
export const NBD_OPTION_BYTES_MAX = 16 * KIB;

/** Longer option data is skipped and answered TOO_BIG up to here; past it, it is garbage. */
export const NBD_OPTION_SKIP_BYTES_MAX = 1 * MIB;

/** Options in one handshake; the chattiest client known (nbdinfo --list) sends about ten. */
export const NBD_OPTIONS_MAX = 128;

/** Names and descriptions on the wire (NBD specification, "Values", strings). */
export const NBD_STRING_BYTES_MAX = 4 * KIB;

/** From connect to the end of the handshake: a client that dawdles holds a place. */
export const NBD_HANDSHAKE_TIMEOUT_MS = 10_000;

/** Clients of one bridge: the kernel and most programs open up to 16 connections each. */
export const NBD_CLIENTS_MAX = 64;

/**
 * A refused write's data is skipped up to here, so that its client lives on. A length past
 * it is no honest mistake, and skipping up to 4 GiB would hang the client all the same.
 */
export const NBD_SKIPPED_PAYLOAD_BYTES_MAX = 2 * NBD_PAYLOAD_BYTES_MAX;

/** Read from a client at once, for as long as one socket lives: some 15 small writes, and what
 * Node would read. */
export const NBD_RECEIVE_BYTES = 64 * KIB;

/** As much of a write's payload, or more, is received where it stays; to copy less from where all
 * else is received costs less than one more read. */
export const NBD_RECEIVE_IN_PLACE_BYTES_MIN = 32 * KIB;

/** Commands in flight of one client: several times any known queue depth. */
export const NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX = 1024;

/** Write and read payload in flight of one client: twice the credit that exports give. A command
 * that is larger than this goes alone. */
export const NBD_CLIENT_BYTES_IN_FLIGHT_MAX = 16 * MIB;

/** The same for all clients of a bridge, so that many clients cannot exhaust memory: what is held
 * here is held once more by the transport or for a replay, and all together stays well under
 * 300 MB. */
export const NBD_BRIDGE_COMMANDS_IN_FLIGHT_MAX = 4 * NBD_CLIENT_COMMANDS_IN_FLIGHT_MAX;
export const NBD_BRIDGE_BYTES_IN_FLIGHT_MAX = 1.25 * NBD_CLIENT_BYTES_IN_FLIGHT_MAX;

/** Replies that a client has not read, past which its requests are not read either. */
export const NBD_REPLY_QUEUE_BYTES_MAX = 4 * MIB;

/** Reply headers are cut from slabs of this size: 1,000 of the common ones. */
export const NBD_REPLY_SLAB_BYTES = 16 * KIB;

/** A sentence for a person; it must fit a slab with room to spare. */
export const NBD_ERROR_MESSAGE_BYTES_MAX = 1 * KIB;

/** Extents in one block status reply: 32 KiB of reply; the client asks on from their end. */
export const NBD_EXTENTS_MAX = 4096;

/** What a block status counts in flight, like a read: the largest reply to one. */
export const NBD_STATUS_REPLY_BYTES_MAX = 8 * NBD_EXTENTS_MAX;

/** Of commands that fail for one reason there is a line in the log so often, and no more. */
export const NBD_FAILURE_LOG_INTERVAL_MS = 10_000;

/** Reasons that are told apart for that: their codes may come from a peer. */
export const NBD_FAILURE_CODES_MAX = 64;

/** `sun_path` holds 108 bytes with its NUL (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Finding out whether somebody listens on a Unix socket is local and immediate. */
export const SOCKET_PROBE_TIMEOUT_MS = 1000;

// ---- Kernel device -------------------------------------------------------------------

/** What the kernel answers to one request: its list of devices, which an attribute's length
 * bounds, and some headers. */
export const NETLINK_ANSWER_BYTES_MAX = 128 * KIB;

/** Of /dev/nbdN: a device has 32 minor numbers, and the kernel 2^20 of them. */
export const KERNEL_DEVICE_INDEX_MAX = 2 ** 15 - 1;

/** What each end of a socket to the kernel buffers: several of its largest commands, so that it
 * hands over one while we work on another. */
export const KERNEL_SOCKET_BUFFER_BYTES = 4 * MIB;

/** The largest command of the kernel's (max_sectors_kb): some kernels stop at 128 KiB. */
export const KERNEL_COMMAND_BYTES_MAX = 1 * MIB;

/** How far the kernel reads ahead of a sequential reader: half of the credit. */
export const KERNEL_READ_AHEAD_BYTES = 4 * MIB;

/** Opening a device is immediate, unless somebody who waits for the export is at it already; but
 * it is done by a process that has to start first. */
export const KERNEL_DEVICE_OPEN_TIMEOUT_MS = 5_000;

/** How long a command may stay unanswered until the kernel gives its connection up for another
 * (queue/io_timeout): the kernel's own default, which an earlier user of the device may have
 * changed. Not more: commands of a client that died come again only when it is over. */
export const KERNEL_COMMAND_TIMEOUT_MS = 30_000;

/** Sockets that the kernel has of one device: with two it stays quiet about a silent one ... */
export const KERNEL_CONNECTIONS_DEFAULT = 2;

/** ... and with more it gets a queue for each, of 128 commands; few machines have more CPUs. */
export const KERNEL_CONNECTIONS_MAX = 16;

/** How long the kernel's commands wait for another client when one is gone. */
export const ORPHAN_TIMEOUT_MS = 10 * 60_000;

/** What --orphan-timeout may be; the kernel counts in seconds, and 0 would be none. */
export const ORPHAN_TIMEOUT_MS_MIN = 1_000;
export const ORPHAN_TIMEOUT_MS_MAX = 7 * 24 * 60 * 60 * 1000;

/** How often a connection from which nothing is read is looked at, whether the kernel gave it
 * up: far less than the shortest ORPHAN_TIMEOUT_MS that makes sense. */
export const KERNEL_LINK_CHECK_INTERVAL_MS = 500;

/** A connection that the kernel closes before it is so old was of no use to it ... */
export const KERNEL_LINK_USEFUL_AFTER_MS = 1_000;

/** ... and the next is made after a delay, which begins here and doubles ... */
export const KERNEL_MEND_DELAY_MIN_MS = 20;

/** ... up to this. */
export const KERNEL_MEND_DELAY_MAX_MS = 2_000;

/** Whoever has just looked at a device, as udev does at each change, is gone after so long. */
export const DEVICE_USE_PATIENCE_MS = 500;

// ---- Kernel device's record and control ---------------------------------------------

/** An address as it was typed: its name may be percent-encoded, three bytes for one. */
export const DEVICE_ADDRESS_BYTES_MAX = 16 * KIB;

/** How long a device's lock is waited for: a client that was killed holds it until the kernel
 * has taken its memory apart. */
export const DEVICE_LOCK_PATIENCE_MS = 2_000;

/** How long one is waited for that nobody seems to hold: "status" takes it to see whether that is
 * so. */
export const DEVICE_LOOK_PATIENCE_MS = 500;

/** How often a lock is tried meanwhile. */
export const DEVICE_LOCK_RETRY_MS = 20;

/** How long a client may take to say how it does: its event loop is never busy for so long. */
export const CONTROL_STATUS_TIMEOUT_MS = 2_000;

/** How long answers on the control socket may hold up the end of a client. */
export const CONTROL_CLOSE_TIMEOUT_MS = 1_000;

/** How long "disconnect" waits for a client to be gone, once all is detached and flushed. */
export const CLIENT_END_TIMEOUT_MS = 5_000;

/** How often it looks meanwhile. */
export const CLIENT_END_POLL_MS = 20;

// ---- Certificates --------------------------------------------------------------------

/** A PEM file is read whole; the largest bundle of public authorities is a quarter of it. */
export const PEM_FILE_BYTES_MAX = MIB;

/** Certificates between an export's and an authority, both counted: more is a mistake. */
export const CERTIFICATE_CHAIN_LENGTH_MAX = 8;

/** Signatures checked for one chain, so that many look-alike issuers cost a bounded time. */
export const CERTIFICATE_SIGNATURE_CHECKS_MAX = 32;

/** The TLS stack takes certificate lists of up to 100 KiB, and a ticket holds one of them. */
export const SESSION_TICKET_BYTES_MAX = 256 * KIB;

/** How long made certificates last unless asked: what common TLS software accepts at most. */
export const CERTIFICATE_DAYS_DEFAULT = 825;

/** A made authority's life, and so the longest that a certificate below it can have. */
export const CERTIFICATE_DAYS_MAX = 3650;

/** Made certificates begin this much earlier, for peers whose clocks are behind. */
export const CERTIFICATE_BACKDATE_MS = 60 * 60 * 1000;

/** Of a client's common name (RFC 5280, A.1, ub-common-name). */
export const CERTIFICATE_NAME_CHARACTERS_MAX = 64;

/** Names in one certificate: more than a handful bloats every handshake. */
export const CERTIFICATE_HOSTS_MAX = 64;

// ---- Shared secrets ------------------------------------------------------------------

/** Fewer bytes could be guessed, given a proof: whoever is connected to gets one. */
export const SECRET_BYTES_MIN = 16;

/** More bytes make it no safer: a larger file is some other file. */
export const SECRET_FILE_BYTES_MAX = 4 * KIB;

// ---- Wire ----------------------------------------------------------------------------

/** A header's length is one positive fixint, so that a frame can be cut at its first byte. */
export const FRAME_HEADER_BYTES_MAX = 127;

/** Largest payload of a data frame: what one transaction moves. Big enough to amortise the
 * frame, small enough that hashing one does not hold up the event loop for long. */
export const FRAME_PAYLOAD_BYTES_MAX = 1 * MIB;

/** Pieces of a payload as they are kept are this large on average, or the payload is copied
 * into one: a piece costs some 200 bytes beside its own, which crumbs must not multiply. */
export const FRAME_PAYLOAD_PIECE_BYTES_MIN = 512;

/** Arrays and maps within each other in a body; WELCOME has four. Decoding recurses. */
export const BODY_DEPTH_MAX = 8;

/** Largest body of a control frame. A list of a thousand exports fits. */
export const CONTROL_BODY_BYTES_MAX = 256 * KIB;

/** Of what a peer is told of a failure, and of what is kept of what it tells: a sentence or two. */
export const FAILURE_MESSAGE_CHARACTERS_MAX = 1024;

/** Largest body that an export accepts before it has sent WELCOME. */
export const HELLO_BODY_BYTES_MAX = 16 * KIB;

/** Largest body of a PROOF: it holds 32 bytes, and leaves room for keys of later versions. */
export const PROOF_BODY_BYTES_MAX = 256;

/** Largest message of a failed frame. */
export const FAILURE_BODY_BYTES_MAX = 4 * KIB;

/** Export names, in UTF-8 (NBD's own bound). */
export const EXPORT_NAME_BYTES_MAX = 4096;

/** Extents that one block status reply carries; the client asks again for the rest. */
export const EXTENTS_PER_REPLY_MAX = 4096;

// ---- Transactions --------------------------------------------------------------------

/** Transactions that an export lets one session have in flight: each may hold a stream. */
export const CREDIT_TRANSACTIONS = 512;

/** Payload bytes that an export lets one session have in flight, on all its lanes together. The
 * engines buffer without bound (they have no receive backpressure), so this is what bounds
 * memory: both ends hold so much, and their engines a copy of it. It covers 670 Mbit/s at a
 * round trip of 100 ms. */
export const CREDIT_BYTES = 8 * MIB;

/** The same for all sessions of an export together, so that a slow disk under hundreds of
 * clients does not take gigabytes: a session gets CREDIT_BYTES, or such a share of what is
 * left, which two dozen get in full ... */
export const CREDIT_BUDGET_BYTES = 256 * MIB;
export const CREDIT_BUDGET_SHARE = 1 / 8;

/** ... and at least this much, however many there are: two transactions of a command that is
 * split. */
export const CREDIT_BYTES_MIN = 512 * KIB;

/** How far a transaction's id may be above the retired mark: what bounds an export's table
 * of answered transactions when one old transaction is slow to end. */
export const TRANSACTION_WINDOW = 16384;

/** Commands larger than this are split into transactions that travel side by side, so that
 * hashing, sending and storing overlap. */
export const TRANSACTION_SPLIT_BYTES = 256 * KIB;

/** How long a transaction may go unanswered before it is resent. */
export const RESEND_TIMEOUT_MS = 5_000;

/** Resends before a command fails with EIO: ten minutes at the default timeout. */
export const RESENDS_MAX = 120;

/** A transaction that is unanswered for longer is suspicious: a second connection is dialled
 * while the first may yet answer ... */
export const SUSPECT_AFTER_MIN_MS = 1_000;

/** ... or for so many times what answers to its kind usually take, if that is longer. */
export const SUSPECT_AFTER_TIMES_USUAL = 10;

/** What one answer counts in what is usual: some ten answers make it up. */
export const USUAL_WEIGHT = 1 / 8;

/** Payload bytes in flight that a client starts with: a line of 10 Mbit/s carries them within
 * the time after which a transaction is suspicious ... */
export const BYTE_WINDOW_INITIAL_BYTES = 1 * MIB;

/** ... and never goes below or above: one transaction, and more than any credit. */
export const BYTE_WINDOW_MIN_BYTES = 256 * KIB;
export const BYTE_WINDOW_MAX_BYTES = 256 * MIB;

/** Answers that come sooner let more bytes go out, and slower ones fewer: both well below
 * SUSPECT_AFTER_MIN_MS, above any round trip on Earth. */
export const ANSWER_SWIFT_MS = 400;
export const ANSWER_SLOW_MS = 600;

/** Acked changes that a client keeps until a flush covers them. */
export const REPLAY_BUFFER_BYTES = 32 * MIB;

/** What keeping one change costs beside its payload, so that trims have a bound too. */
export const REPLAY_ENTRY_BYTES = 256;

/** Kept payloads are packed into buffers of this size ... */
export const REPLAY_SLAB_BYTES = 1 * MIB;

/** ... of which so many are held for reuse when they are empty: what one flush of ours frees. */
export const REPLAY_SLABS_FREE_MAX = 32;

/** And so many once nothing is kept: much was written, and may not be again for long. */
export const REPLAY_SLABS_IDLE_MAX = 8;

/** Payload of a transaction, its own or its answer's, up to which others may share its stream:
 * that halves what a 4 KiB one costs. What a larger one costs is its bytes. */
export const BATCH_TRANSACTION_BYTES_MAX = 16 * KIB;

/** Writes to a stream are gathered up to this size into one call to the QUIC engine, which takes
 * all of it or nothing. */
export const QUIC_GATHER_BYTES = 64 * KIB;

/** Payload of those that go out together on one stream, in all: with their headers they are no
 * more than one such call. */
export const BATCH_BYTES_MAX = QUIC_GATHER_BYTES - 4 * KIB;

/** Such transactions, where they have little payload or none. */
export const BATCH_TRANSACTIONS_MAX = 32;

/** Replies on one stream that are handed to the transport together, headers and all. */
export const REPLIES_TOGETHER_BYTES_MAX = QUIC_GATHER_BYTES;

/** Round trip up to which they do. On a longer path a packet that is lost would hold up those
 * behind it for as long, and the processor is not what transactions wait for. */
export const BATCH_ROUND_TRIP_MS_MAX = 4;

// ---- Export --------------------------------------------------------------------------

/** How long a stranger may take from connecting to a whole HELLO. */
export const HELLO_TIMEOUT_MS = 10_000;

/** Connections that one export keeps; each costs a few KiB before WELCOME. */
export const CONNECTIONS_MAX = 4096;

/** What may wait on the control stream of a peer that reads nothing: one of the largest frames,
 * and thousands of PONGs and notices. Past it the connection is closed. */
export const CONTROL_QUEUE_BYTES_MAX = 2 * CONTROL_BODY_BYTES_MAX;

/** How long a refused peer may linger, so that it can read why, before it is closed. */
export const REFUSAL_LINGER_MS = 1_000;

/** How long a session outlives its last connection. */
export const SESSION_LEASE_MS = 60_000;

/** A transaction in progress for longer is told to its client as such: soon enough that a
 * client which suspects a dead export after a second has heard of it. */
export const WORKING_NOTICE_AFTER_MS = 500;

/** It is told again each time that so much has passed: one lost notice does no harm. */
export const WORKING_NOTICE_INTERVAL_MS = 250;

/** A client that sends nothing for so long, not even a ping, is gone, whatever interval it gave
 * for its pings: one that gave a shorter one is given three of those. */
export const PEER_IDLE_TIMEOUT_MS = 30_000;

/** Sessions that an export remembers as taken over, so that a late HELLO of one gets nowhere:
 * far more takeovers than anybody makes while a HELLO is on its way. */
export const TAKEN_OVER_SESSIONS_MAX = 1024;

/** A claim on disk takes some 150 bytes; a file with more in it is something else. */
export const CLAIM_FILE_BYTES_MAX = 4 * KIB;

/** A claim that takes longer to save is let go on without it, with a warning: its client waits
 * for WELCOME, and should not lose patience (CONNECT_TIMEOUT_MS) over a disk not its own. */
export const CLAIM_SAVE_TIMEOUT_MS = 5_000;

/** What commands in flight are given when a process is asked to end. */
export const SHUTDOWN_GRACE_MS = 10_000;

/** What flushing and closing a store is given then: time for a slow disk to write what the
 * page cache held, and with the grace above less than service managers wait (90 s). */
export const SHUTDOWN_FLUSH_TIMEOUT_MS = 60_000;

// ---- Access --------------------------------------------------------------------------

/** Connections a minute from one address: a client that redials at its fastest makes some 150
 * (DIAL_OVERLAP_MS), and a few may share an address. */
export const CONNECTIONS_PER_MINUTE_DEFAULT = 600;
export const CONNECTIONS_PER_MINUTE_MAX = 1_000_000;

/** Addresses whose connections are counted: a table of some 3 MB. */
export const VISITORS_REMEMBERED_MAX = 16_384;

/** What a wrong secret costs beside its connection, in advance: some twenty guesses a minute are
 * left, and at the usual rate whoever shares the address is shut out for 3 s after the last. */
export const PROOF_FAILED_COST_CONNECTIONS = 30;

/** Of one address the log says so often that it was refused. */
export const REFUSAL_LOG_INTERVAL_MS = 60_000;

/** How long a client that is to be refused may take to open the stream on which it is told:
 * any line's round trip and a lost packet. It holds a place among CONNECTIONS_MAX meanwhile. */
export const TURN_AWAY_TIMEOUT_MS = 3_000;

/** Sessions of one export at once: beyond some fifty, each may have CREDIT_BYTES_MIN in flight. */
export const SESSIONS_MAX_DEFAULT = 256;

/** For clients that come back there is room for so many times as many: an export that was
 * started again does not know them, and cannot tell them from those who only say so. */
export const SESSIONS_RESUMED_TIMES = 2;

// ---- Client --------------------------------------------------------------------------

/** How long one attempt to connect may take, from the first packet to WELCOME. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Notices that a client keeps from WELCOME until it listens, a moment later, or while it takes
 * its leave: there is one of each kind to expect, and a few that commands are in progress. */
export const EARLY_NOTICES_MAX = 16;

/** Pings go out when a connection has been idle for this long. */
export const PING_INTERVAL_MS = 2_000;

/** A peer that left so many pings unanswered is dead. */
export const PINGS_UNANSWERED_MAX = 3;

/** Redialling waits this long at first, doubles, and is jittered ... */
export const REDIAL_DELAY_MIN_MS = 20;

/** ... up to this while I/O waits, so that it flows again soon after a link returns ... */
export const REDIAL_DELAY_MAX_MS = 1_000;

/** ... and up to this while none does. */
export const REDIAL_DELAY_IDLE_MAX_MS = 10_000;

/** How long one attempt of a redial may take to reach the export, ... */
export const DIAL_ATTEMPT_TIMEOUT_MS = 2_000;

/** ... and how many may be under way, as the next starts before the last has ended, ... */
export const DIAL_ATTEMPTS_AT_ONCE_MAX = 4;

/** ... so long after it, jittered down to half: one that began while a link was down knocks
 * again only after 1 s, 2 s, 4 s, so that a fresh one is through sooner once the link is up. */
export const DIAL_OVERLAP_MS = 800;

/** One of so many attempts is given CONNECT_TIMEOUT_MS, and is left alone: a dial takes three
 * round trips, which on some lines is more than DIAL_ATTEMPT_TIMEOUT_MS. */
export const PATIENT_DIAL_EVERY = 4;

/** How long an export may take to hear that a session is over. */
export const LEAVE_TIMEOUT_MS = 1_000;

/** A HELLO is left so long to be answered before another attempt may say it too, which ends
 * the first; twice as long each time that it was for nothing, up to CONNECT_TIMEOUT_MS. */
export const WELCOME_PATIENCE_MS = 1_500;

// ---- Lanes ---------------------------------------------------------------------------

/** Connections that one session may have side by side. Past a handful more of them win little,
 * and each costs a thread of the QUIC engine and its buffers. */
export const LANES_MAX = 16;

/** From this round trip on --lanes auto counts on lost packets and on a congestion window that
 * takes long to grow again: what is nearer is a local network. */
export const LANES_LONG_PATH_ROUND_TRIP_MS = 10;

/** Round trips that are measured before a path counts as long, by the shortest: on a busy machine
 * one may take this long over loopback. */
export const LANES_MEASURING_PINGS = 8;

/** What it has at least on such a path, ... */
export const LANES_AUTO_LONG_PATH = 8;

/** ... and otherwise one lane for so many processors: the event loop, the engine's thread and
 * what the device is for share them. */
export const LANES_AUTO_PROCESSORS_EACH = 2;

/** More lanes than this do not make a short path faster, as one event loop serves them all. */
export const LANES_AUTO_SHORT_PATH_MAX = 4;

/** A further lane that could not be made is tried again after this, doubled each time, ... */
export const LANE_RETRY_DELAY_MIN_MS = 1_000;

/** ... up to this: the session works without it. */
export const LANE_RETRY_DELAY_MAX_MS = 60_000;

/** A link that ends before it is so old may have ended because of its further lanes: the next one
 * waits for them for LANE_RETRY_DELAY_MIN_MS, doubled as above. */
export const LANES_STEADY_AFTER_MS = 60_000;

// ---- Sessions that outlive their process ---------------------------------------------

/** Epochs and transaction ids are set aside in the session's record so many at a time: a save of
 * it costs some 0.1 ms, and resuming by it skips those that were not used, of 2^53. */
export const EPOCHS_RESERVED = 64;
export const TRANSACTIONS_RESERVED = 2 ** 20;

/** How long the record says at least that something may not be flushed, once it does: a program
 * that flushes each write would have it saved twice a write. */
export const UNFLUSHED_MARK_MIN_MS = 1_000;

// ---- The way to an export ------------------------------------------------------------

/** A name service that takes longer is passed over for the addresses that it gave before: it
 * is often lost in the same outage as the export, and comes back later. */
export const RESOLVE_PATIENCE_MS = 300;

/** Names whose addresses are remembered: one client dials a handful. */
export const RESOLVED_NAMES_MAX = 256;

/** How often a client looks whether its own address or its default routes are others: a look
 * costs some 0.1 ms, and roaming is to be noticed well within a second. */
export const PATH_CHECK_INTERVAL_MS = 500;

/** What is read of the kernel's routes: the default ones come first, and a router that knows
 * the whole Internet has 100 MB of others. */
export const ROUTES_READ_BYTES_MAX = 64 * KIB;

// ---- The choice of a transport -------------------------------------------------------

/** How long QUIC is preferred to a WebTransport connection that is ready: three round trips of
 * the slowest lines, and short enough to be connected within 3 s where UDP is dropped. */
export const QUIC_TRY_MS = 2_000;

/** The same when a session that was connected dials again: its I/O waits. A WebTransport
 * connection is held back for so long after it is ready, too: an attempt at QUIC that began
 * while the network was away is late to notice its return, and the next one is quicker. */
export const QUIC_RETRY_MS = 1_000;

/** The transport that is tried second starts so much later: most exports answer sooner. */
export const TRANSPORT_HEAD_START_MS = 300;

/** How long the first HELLO of a client may go unanswered until it is said once more, over the
 * other transport where there is a choice: more than an export takes to save a claim. */
export const FIRST_HELLO_TIMEOUT_MS = 6_000;

/** Connections in a row on which WELCOME came and no transaction was answered, until the other
 * transport goes first: one alone may have met a passing outage. */
export const USELESS_CONNECTIONS_MAX = 2;

/** How often a session that fell back to WebTransport looks whether QUIC works again; jittered
 * down to half, and twice as long after each look, ... */
export const QUIC_PROBE_INTERVAL_MS = 60_000;

/** ... up to this: most firewalls that drop UDP always will. */
export const QUIC_PROBE_INTERVAL_MAX_MS = 16 * 60_000;

/** A connection that such a look made is kept so long for the session to take: less than an
 * export waits for HELLO. */
export const QUIC_PROBED_KEEP_MS = 5_000;

/** That an address was reached without QUIC is remembered across processes for a day: networks
 * change, and so do the people who look after their firewalls ... */
export const ROUTE_MEMORY_LIFE_MS = 24 * 60 * 60 * 1000;

/** ... for so many addresses, the newest ... */
export const ROUTE_MEMORY_ADDRESSES_MAX = 256;

/** ... in a file that no honest list of them, by names of 255 bytes, can be larger than. */
export const ROUTE_MEMORY_FILE_BYTES_MAX = 128 * KIB;

/** A file system that takes longer to read it does not hold up a connection. */
export const ROUTE_MEMORY_TIMEOUT_MS = 300;

// ---- QUIC ----------------------------------------------------------------------------

/** Connection flow-control window. The engine kills a connection whose window ever limits,
 * below about 100 MB; credit is what bounds memory, so this only has to be out of the way. */
export const QUIC_CONNECTION_WINDOW_BYTES = 256 * MIB;

/** Stream flow-control window: a whole transaction fits, so one never waits in the middle. */
export const QUIC_STREAM_WINDOW_BYTES = 4 * MIB;

/** Streams that a client may open: one per unit of queue depth, and the control stream. */
export const QUIC_STREAMS_MAX = 1024;

/** A connection without any packet for so long is gone. Pings make it live. */
export const QUIC_IDLE_TIMEOUT_MS = 30_000;

/** How often a dial asks whether its port is closed: machines answer about once a second. */
export const PORT_PROBE_INTERVAL_MS = 500;

/** Why a connection is closed, in the packet that says so: that must fit the smallest path, of
 * 1,200 bytes, whose packet has room for others' frames too. */
export const CLOSE_REASON_BYTES_MAX = 200;

// ---- WebTransport --------------------------------------------------------------------

/** Streams that a client may open on one connection: as over QUIC. The library walks through
 * so many for one frame that a stranger sends, so no more than are needed. */
export const WEBTRANSPORT_STREAMS_MAX = 1024;

/** Stream flow-control window: a whole transaction fits, so one never waits in the middle. */
export const WEBTRANSPORT_STREAM_WINDOW_BYTES = 4 * MIB;

/** Connection flow-control window; credit is what bounds memory, so this is out of the way. */
export const WEBTRANSPORT_CONNECTION_WINDOW_BYTES = 256 * MIB;

/** HTTP/2's own windows, which lie below those: Node's 64 KiB would hold a line with a round
 * trip of 50 ms down to 10 Mbit/s. Twice CREDIT_BYTES never limits. */
export const HTTP2_WINDOW_BYTES = 16 * MIB;

/** What Node lets an HTTP/2 connection hold before it refuses pings, in its own unit: above
 * what credit lets a connection have in flight. */
export const HTTP2_CONNECTION_MEMORY_MB = 64;

/** Writes are copied into pieces of at most this size: the library copies the rest of a piece
 * again each time that a window cuts it. */
export const WEBTRANSPORT_PIECE_BYTES_MAX = 64 * KIB;

/** What the library may keep of a capsule that has not come whole. Those that are not stream
 * data take some 30 bytes, or 1 KiB when they tell why a connection ends. */
export const CAPSULE_KEPT_BYTES_MAX = 4 * KIB;

/** How long a TCP connection may take to become a WebTransport connection, TLS included. */
export const WEBTRANSPORT_OPENING_TIMEOUT_MS = 10_000;

/** TCP connections that have not become one yet: each costs some 50 KiB. The oldest gives way
 * to the newest, as an honest client is through within three round trips. */
export const WEBTRANSPORT_OPENING_MAX = 256;

/** How long a connection that we ended may take to tell its peer why. */
export const WEBTRANSPORT_CLOSE_LINGER_MS = 1_000;

/** How long HTTP/3 is tried before HTTP/2: three round trips of any but the slowest lines ... */
export const HTTP3_TRY_MS = 1_000;

/** ... and for how long it is left alone at an address where only HTTP/2 answered. */
export const HTTP3_RETRY_INTERVAL_MS = 60_000;

/** Addresses of which that is remembered: one client dials a handful. */
export const HTTP3_SILENT_ADDRESSES_MAX = 256;

/** Most turns of the event loop that the library may take to say that it lacks HTTP/3. */
export const WEBTRANSPORT_LOADING_TURNS_MAX = 1_000;

// ---- Checksums -----------------------------------------------------------------------

/** Payloads from this size are hashed by native code, where there is some: its calls take 2 us
 * beside the hashing, in which WebAssembly hashes a quarter of this. */
export const NATIVE_HASH_BYTES_MIN = 4 * KIB;

// ---- Checksum threads ----------------------------------------------------------------

/** Threads that hash, of one process: together they hash 3 GB/s, more than a process sends. */
export const HASH_THREADS_MAX = 8;

/** Payloads from this size are hashed on another thread, where there is one: handing one over
 * holds the event loop for less than half as long as hashing it (docs/PERFORMANCE.md). */
export const HASH_OFF_THREAD_BYTES_MIN = 64 * KIB;

/** Payloads that one thread holds, that which it hashes among them: half of the credit of a busy
 * connection, at TRANSACTION_SPLIT_BYTES. What comes when all hold so many is hashed in place. */
export const HASH_THREAD_PAYLOADS_MAX = 16;

/** What --crypto-threads auto leaves to others: the event loop and the QUIC engine's thread ... */
export const HASH_THREADS_AUTO_SPARED = 2;

/** ... and starts at most: one hashes what a connection carries, and so two both directions. */
export const HASH_THREADS_AUTO_MAX = 2;

/** Keyed hashers that one thread keeps, each of some 100 KiB: one a session that is busy. */
export const HASH_THREAD_HASHERS_MAX = 16;

/** A thread's own heap: it holds hash-wasm and little else. */
export const HASH_THREAD_HEAP_MIB = 32;

// ---- Command line --------------------------------------------------------------------

/** Where any port will do, so many are tried until one is free for UDP and for TCP. */
export const PORT_CHOICES_MAX = 16;

/** Names that an export may give its stores: what fits a file's name, and a log line. */
export const STORE_NAME_BYTES_MAX = 255;

/** Stores of one export: the list of them must fit one control frame. */
export const STORES_MAX = 256;

/** A configuration file: 256 stores and as many rules, with a comment on each. */
export const CONFIG_FILE_BYTES_MAX = 64 * KIB;

/** What --resend-timeout may be: less would resend what is only on its way. */
export const RESEND_TIMEOUT_MS_MIN = 100;
export const RESEND_TIMEOUT_MS_MAX = 60 * 60 * 1000;

/** What --max-resends may count up to; beyond it, "inf" is meant. */
export const RESENDS_COUNT_MAX = 1_000_000;

/** What --ping-interval may be: three pings must fit into the transport's idle timeout. */
export const PING_INTERVAL_MS_MIN = 100;
export const PING_INTERVAL_MS_MAX = 10_000;

/** What --replay-buffer may be, unless it is 0: less would flush at every large write ... */
export const REPLAY_BUFFER_BYTES_MIN = 1 * MIB;

/** ... and more than this is a typing error: it is held in memory. */
export const REPLAY_BUFFER_BYTES_MAX = 16 * 1024 * MIB;

/** What --max-outage and --lease may be. Node's timers end at 24 days. */
export const MAX_OUTAGE_MS_MIN = 1_000;
export const MAX_OUTAGE_MS_MAX = 7 * 24 * 60 * 60 * 1000;
export const SESSION_LEASE_MS_MIN = 1_000;
export const SESSION_LEASE_MS_MAX = 7 * 24 * 60 * 60 * 1000;

/** A service manager that does not read its socket must not hold up a start for longer. */
export const SERVICE_NOTIFY_TIMEOUT_MS = 1_000;
