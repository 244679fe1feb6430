#!/bin/sh
# Installs the programs that tests, demo and benchmarks use beside ours, where that can be
# done: as root, on a system with apt-get. Tests skip, with the reason, without them.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
export PATH

# A program of each Debian package.
wanted='
nbdcopy libnbd-bin
nbdsh python3-libnbd
nbdkit nbdkit
qemu-img qemu-utils
fio fio
mke2fs e2fsprogs
mkfs.xfs xfsprogs
mkfs.btrfs btrfs-progs
mdadm mdadm
nbd-client nbd-client
sfdisk fdisk
socat socat
strace strace
openssl openssl
flock util-linux
ip iproute2
python3 python3
groff groff-base
systemd-analyze systemd
zsh zsh
fish fish
'

missing=$(echo "$wanted" | while read -r program package; do
  [ -z "$program" ] || command -v "$program" >/dev/null || echo "$package"
done)

[ -n "$missing" ] || exit 0
missing=$(echo "$missing" | tr '\n' ' ')
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed, so some tests will skip: $missing" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >&2; then
  echo "Could not be installed, so some tests will skip: $missing" >&2
fi
