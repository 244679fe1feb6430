/**
 * A wrong input, and the answer: exit code, error code and words of the sentence, with … for
 * what lies between them. `{name}` stands for something that the test sets up.
 */
const TABLE = `
# Wrong usage
an unknown command
  $ dst-quic exprot a.img
  2 DST_E_USAGE: unknown command 'exprot' … export
an unknown option
  $ dst-quic export disk.img --nmae x
  2 DST_E_USAGE: unknown option '--nmae' … --name
an option twice
  $ dst-quic export disk.img --name a --name b
  2 DST_E_USAGE: --name is given twice
a flag twice
  $ dst-quic export disk.img --read-only --read-only
  2 DST_E_USAGE: --read-only is given twice
a global option twice
  $ dst-quic export disk.img --log-level info --log-level warn
  2 DST_E_USAGE: --log-level is given twice
an option without its value
  $ dst-quic export disk.img --size
  2 DST_E_USAGE: --size <size> … argument missing
nothing to export
  $ dst-quic export
  2 DST_E_USAGE: missing required argument 'store'
a client whose name cannot be a file's
  $ dst-quic cert --client a/b
  2 DST_E_CERT_CLIENT_NAME: "a/b" cannot name a client
a client certificate without a CA to sign it
  $ dst-quic cert --dir none --client backup
  1 DST_E_CERT_CA: none has no authority … without --client first
no certificate to trust
  $ dst-quic connect 127.0.0.1/demo
  2 DST_E_USAGE: --cert <file>' not specified
an argument too many
  $ dst-quic list {export} again --cert certs/ca.pem
  2 DST_E_USAGE: too many arguments
options that exclude each other
  $ dst-quic connect {export}/demo --cert certs/ca.pem --socket s --listen 127.0.0.1:0
  2 DST_E_USAGE: --socket … --listen
a certificate without its key
  $ dst-quic export disk.img --cert certs/server.pem
  2 DST_E_USAGE: go together
one name for two stores
  $ dst-quic export disk.img readonly.img --name a
  2 DST_E_USAGE: --name goes with one store
one size for two stores
  $ dst-quic export a.img b.img --size 1M
  2 DST_E_USAGE: --size goes with one store
two stores of one name
  $ dst-quic export disk.img a/disk.img
  2 DST_E_USAGE: two stores would be named "disk"
a name twice over
  $ dst-quic export a=disk.img --name b
  2 DST_E_USAGE: ./a=disk.img
a name with a slash
  $ dst-quic export disk.img --name a/b
  2 DST_E_EXPORT_NAME: "a/b" cannot name an export
a size that is none
  $ dst-quic export new.img --size big
  2 DST_E_SIZE: "big" is not a size
a size that is not a multiple of 512
  $ dst-quic export new.img --size 1000
  2 DST_E_SIZE: multiple of 512: 1024 would do
memory of such a size
  $ dst-quic export memory:1000
  2 DST_E_SIZE: multiple of 512: 1024 would do
a checksum that is not known
  $ dst-quic export disk.img --checksum md5
  2 DST_E_USAGE: "md5" … blake3
a log level that is not known
  $ dst-quic export disk.img --log-level loud
  2 DST_E_USAGE: Allowed choices are debug
a place to listen that is none
  $ dst-quic export disk.img --listen 127.0.0.1:99999
  2 DST_E_ADDRESS: port
an address without a name
  $ dst-quic connect {export} --cert certs/ca.pem
  2 DST_E_ADDRESS: HOST:PORT/NAME
an address with a name where none belongs
  $ dst-quic list {export}/demo --cert certs/ca.pem
  2 DST_E_USAGE: leave "/demo" out
an address of something else
  $ dst-quic info nbd://127.0.0.1/demo --cert certs/ca.pem
  2 DST_E_ADDRESS: nbd://, which is not known: use quic://, https:// or neither
a time without a unit
  $ dst-quic connect {export}/demo --cert certs/ca.pem --resend-timeout 5
  2 DST_E_DURATION: --resend-timeout "5" has no unit: write 5s
a time that is none
  $ dst-quic connect {export}/demo --cert certs/ca.pem --max-outage soon
  2 DST_E_DURATION: --max-outage "soon" is not a time … 500ms, 5s, 2m or 1h
a resend timeout that is too short
  $ dst-quic connect {export}/demo --cert certs/ca.pem --resend-timeout 10ms
  2 DST_E_DURATION: --resend-timeout 10ms is out of range: give from 100ms to 1h
a ping interval that is too long
  $ dst-quic connect {export}/demo --cert certs/ca.pem --ping-interval 1m
  2 DST_E_DURATION: --ping-interval 1m is out of range: give from 100ms to 10s
an outage that may never be
  $ dst-quic connect {export}/demo --cert certs/ca.pem --max-outage 0s
  2 DST_E_DURATION: --max-outage 0s is out of range: give from 1s to 7d
a lease without a unit
  $ dst-quic export disk.img --lease 60
  2 DST_E_DURATION: --lease "60" has no unit
a lease that is too short
  $ dst-quic export disk.img --lease 100ms
  2 DST_E_DURATION: --lease 100ms is out of range: give from 1s to 7d
resends that are no number
  $ dst-quic connect {export}/demo --cert certs/ca.pem --max-resends many
  2 DST_E_USAGE: --max-resends "many" … from 1 to 1000000, or inf
no resends at all
  $ dst-quic connect {export}/demo --cert certs/ca.pem --max-resends 0
  2 DST_E_USAGE: --max-resends "0" … from 1 to 1000000, or inf
a replay buffer that is too small
  $ dst-quic connect {export}/demo --cert certs/ca.pem --replay-buffer 100K
  2 DST_E_SIZE: --replay-buffer 100K … from 1 MiB to 16 GiB, or 0
a replay buffer that is none
  $ dst-quic connect {export}/demo --cert certs/ca.pem --replay-buffer lots
  2 DST_E_SIZE: "lots" is not a size
a takeover that would write nothing
  $ dst-quic connect {export}/demo --cert certs/ca.pem --takeover --read-only
  2 DST_E_USAGE: --takeover … --read-only
a name for who may connect
  $ dst-quic export disk.img --allow storage.example
  2 DST_E_ALLOW: "storage.example" is no address or network … not as a name
a network that is too narrow
  $ dst-quic export disk.img --allow 192.0.2.0/33
  2 DST_E_ALLOW: /33 is out of range
a permission that is none
  $ dst-quic export disk.img --allow 192.0.2.0/24=wo
  2 DST_E_ALLOW: "wo" is no permission: write =ro or =rw
names of certificates that nobody is asked for
  $ dst-quic export disk.img --allow-name host.example
  2 DST_E_USAGE: --allow-name goes with --client-ca
no clients at all
  $ dst-quic export disk.img --max-sessions 0
  2 DST_E_USAGE: --max-sessions "0" … from 1 to 4096
HTTP/3 where clients must show certificates
  $ dst-quic export disk.img --webtransport-port 4434 --client-ca certs/ca.pem
  2 DST_E_USAGE: --webtransport-port does not go with --client-ca
HTTP/3 where QUIC listens
  $ dst-quic export disk.img --webtransport-port 4433
  2 DST_E_USAGE: 4433 is where QUIC listens
HTTP/3 and no WebTransport
  $ dst-quic export disk.img --webtransport-port 4434 --no-webtransport
  2 DST_E_USAGE: --webtransport-port … --no-webtransport
a client certificate without its key
  $ dst-quic connect {export}/demo --cert certs/ca.pem --client-cert certs/client.pem
  2 DST_E_USAGE: --client-cert and --client-key go together
days that are none
  $ dst-quic cert --days soon
  2 DST_E_USAGE: number of days
too many days
  $ dst-quic cert --days 99999
  2 DST_E_CERT_DAYS: 3650
a host that a certificate cannot have
  $ dst-quic cert --dir fresh --host a/b
  2 DST_E_CERT_HOST: a/b

# What is to be exported
a file that is missing
  $ dst-quic export missing.img
  1 DST_E_NOT_FOUND: missing.img does not exist
a folder
  $ dst-quic export certs
  1 DST_E_NOT_A_FILE: certs
a file that is not a multiple of 512
  $ dst-quic export odd.img
  1 DST_E_SIZE: odd.img is 1000 bytes, not a multiple of 512
a file that is larger than --size
  $ dst-quic export spare.img --size 512
  1 DST_E_SIZE: would destroy data
a file that is exported already
  $ dst-quic export disk.img
  1 DST_E_LOCKED: disk.img is served or used by process
a port in use
  $ dst-quic export memory:1M --listen {export}
  1 DST_E_ADDRESS_IN_USE: in use
an address of another machine
  $ dst-quic export memory:1M --listen 192.0.2.1:4433
  1 DST_E_ADDRESS_UNAVAILABLE: 192.0.2.1
a name to listen on that does not resolve
  $ dst-quic export memory:1M --listen no-such-host.invalid
  1 DST_E_RESOLVE: "no-such-host.invalid"

# Certificates and keys
a certificate that is missing
  $ dst-quic export memory:1M --cert missing.pem --key certs/server-key.pem
  1 DST_E_CERT_FILE: missing.pem
a key that is missing
  $ dst-quic export memory:1M --cert certs/server.pem --key missing.pem
  1 DST_E_KEY_FILE: missing.pem
a certificate that is none
  $ dst-quic connect {export}/demo --cert odd.img
  1 DST_E_CERT_FILE: odd.img is not a file of PEM certificates
a client's certificate that is missing
  $ dst-quic connect {export}/demo --cert missing.pem
  1 DST_E_CERT_FILE: missing.pem
a key of another certificate
  $ dst-quic export memory:1M --cert certs/server.pem --key certs/client-key.pem
  1 DST_E_CERT_KEY: does not belong
a key that others may read
  $ dst-quic export memory:1M --cert certs/server.pem --key open-key.pem
  1 DST_E_KEY_MODE: open-key.pem
a CA for clients that is none
  $ dst-quic export memory:1M --client-ca certs/client.pem
  1 DST_E_CERT_FILE: certs/client.pem … no authority's
a client's certificate that is the export's
  $ dst-quic connect {export}/demo --cert certs/ca.pem --client-cert certs/server.pem --client-key certs/server-key.pem
  1 DST_E_CERT_USAGE: not made for use as a TLS client
an expired certificate to export with
  $ dst-quic export memory:1M --cert expired/server.pem --key expired/server-key.pem
  1 DST_E_CERT_EXPIRED: expired on
an export of an unknown authority
  $ dst-quic connect {export}/demo --cert misnamed/ca.pem
  1 DST_E_CERT_AUTHORITY: no authority in misnamed/ca.pem vouches
an export that is not the pinned one
  $ dst-quic connect {export}/demo --cert misnamed/server.pem
  1 DST_E_CERT_PIN: another certificate
an export of the wrong name
  $ dst-quic connect {misnamed}/demo --cert misnamed/ca.pem
  1 DST_E_CERT_NAME: elsewhere.example, not for 127.0.0.1
an export whose certificate is expired
  $ dst-quic connect {expired}/demo --cert expired/ca.pem
  1 DST_E_CERT_EXPIRED: expired on

# Finding the export
a name that is not exported
  $ dst-quic connect {export}/dmeo --cert certs/ca.pem
  1 DST_E_EXPORT_UNKNOWN: "dmeo" … "demo", "held", "other"
the same for info
  $ dst-quic info {export}/dmeo --cert certs/ca.pem
  1 DST_E_EXPORT_UNKNOWN: "dmeo" … "demo", "held", "other"
a host that does not resolve
  $ dst-quic list no-such-host.invalid --cert certs/ca.pem
  1 DST_E_RESOLVE: "no-such-host.invalid" does not resolve
a host that refuses
  $ dst-quic connect {closed}/demo --cert certs/ca.pem
  1 DST_E_REFUSED: QUIC: nothing listens on UDP port … WebTransport: nothing listens on TCP port
a host that never answers
  $ dst-quic connect {silent}/demo --cert certs/ca.pem
  1 DST_E_UNREACHABLE: QUIC: … did not answer within 10 s … UDP port … WebTransport: … TCP port
checksums with none in common
  $ dst-quic connect {export}/demo --cert certs/ca.pem --checksum none
  1 DST_E_CHECKSUM_NONE: --checksum
an export that has a writer
  $ dst-quic connect {export}/held --cert certs/ca.pem
  1 DST_E_BUSY: 127.0.0.1: … writes to export "held" since 20 … take over
a name that is not exported, however long one waits
  $ dst-quic connect {export}/dmeo --cert certs/ca.pem --wait
  1 DST_E_EXPORT_UNKNOWN: "dmeo" … "demo"
the same for the wrong certificate
  $ dst-quic connect {export}/demo --cert misnamed/server.pem --wait
  1 DST_E_CERT_PIN: another certificate
the same for checksums with none in common
  $ dst-quic connect {export}/demo --cert certs/ca.pem --checksum none --wait
  1 DST_E_CHECKSUM_NONE: --checksum

# Where to serve it
a socket path that is too long
  $ dst-quic connect {export}/demo --cert certs/ca.pem --socket {longPath}
  1 DST_E_SOCKET_PATH: too long for a socket
a socket path that is a file
  $ dst-quic connect {export}/demo --cert certs/ca.pem --socket odd.img
  1 DST_E_SOCKET_PATH: is not a socket
a socket of a live process
  $ dst-quic connect {export}/demo --cert certs/ca.pem --socket {liveSocket}
  1 DST_E_SOCKET_IN_USE: somebody listens
a socket path in a folder that is missing, before any wait for the export
  $ dst-quic connect {closed}/demo --cert certs/ca.pem --socket missing/a.sock --wait
  1 DST_E_SOCKET_PATH: no socket a.sock can be made
a bridge for everybody
  $ dst-quic connect {export}/demo --cert certs/ca.pem --listen 0.0.0.0:0
  1 DST_E_BRIDGE_ADDRESS: loopback only
`;

export interface BadInput {
  readonly name: string;
  readonly words: string;
  readonly exitCode: number;
  readonly errorCode: string;
  /** In this order in the sentence. */
  readonly says: readonly string[];
}

const CASE =
  /^(?<name>[^#\n].*)\n {2}\$ dst-quic (?<words>.*)\n {2}(?<exit>\d) (?<error>\w+): (?<says>.*)$/gm;

export const BAD_INPUT: readonly BadInput[] = [...TABLE.matchAll(CASE)].map(({ groups = {} }) => ({
  name: groups.name ?? '',
  words: groups.words ?? '',
  exitCode: Number(groups.exit),
  errorCode: groups.error ?? '',
  says: (groups.says ?? '').split(' … '),
}));
