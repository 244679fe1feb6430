#!/bin/bash
# Runs a command under a real Linux kernel that has the nbd driver, on a machine whose own kernel
# has none and loads no modules. The kernel is Debian's user-mode-linux, an ordinary process: it
# needs no KVM, no disk image and no root, and takes 2 s to start. The host's / is its root.
#
#   run-in-kernel.sh [-t SECONDS] [-m MEMORY] [-M "MODULE [PARAMETER=..]"]... [-c FILE] [--] COMMAND...
#     -t  time limit for all of it (300)
#     -m  the guest's memory, which the host gives as it is used (2G)
#     -M  one more module; "nbd" is always there, and modprobe works inside
#     -c  put the kernel's console into this file, rather than drop it
#
# The guest has root, one CPU, a network of its own (lo), a standard input that is empty, and the
# caller's environment and working directory. What it writes is gone at the end. A process inside
# that touches more than about 220 MiB of memory at random dies, as each page is a mapping of the
# host's.
#
# Exit code: the command's; 124 when the time was up, 125 when the guest could not be set up or
# died, both with the console on standard error.
#
# GUEST_SUITE=trixie takes the kernel of that Debian suite, on an older system. GUEST_CACHE is
# where the kernel is kept.
set -u
here=$(dirname "$(realpath "$0")")

fail() {
  echo "run-in-kernel: $*" >&2
  exit 125
}

LIMIT_S=300 MEMORY=2G CONSOLE=/dev/null MODULES=('nbd max_part=8')
while getopts t:m:M:c: option; do
  case $option in
    t) LIMIT_S=$OPTARG ;;
    m) MEMORY=$OPTARG ;;
    M) MODULES+=("$OPTARG") ;;
    c) CONSOLE=$OPTARG ;;
    *) exit 125 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || fail 'no command'

export GUEST_CACHE=${GUEST_CACHE:-/var/tmp/dst-quic-kernel${GUEST_SUITE:+-$GUEST_SUITE}}
"$here/kernel/fetch.sh" || fail "no kernel in $GUEST_CACHE"

GUEST_JOB=$(mktemp -d) || fail 'no temporary folder'
export GUEST_JOB
trap 'rm -rf "$GUEST_JOB"' EXIT
declare -p GUEST_CACHE MODULES LIMIT_S >"$GUEST_JOB/settings"
{
  export -p
  printf 'unset GUEST_JOB\ncd %q\n' "$PWD"
  printf '%q ' "$@"
  echo
} >"$GUEST_JOB/command"

preload='' libraries=''
[ ! -e "$GUEST_CACHE/ptrace-shim.so" ] || preload=$GUEST_CACHE/ptrace-shim.so
[ ! -e "$GUEST_CACHE/ld" ] || libraries=$GUEST_CACHE/usr/lib/x86_64-linux-gnu

# One CPU of the host's for all of it: the kernel and the guest's processes take turns by ptrace,
# and to wake each other across CPUs makes system calls eight times as slow. One that no other
# guest has, if there is: its lock is held for as long as this runs.
mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' |
  awk -F- '{ for (i = $1; i <= $NF; i++) print i }')
for cpu in "${cpus[@]}"; do
  exec 9>"$GUEST_CACHE/cpu-$cpu"
  ! flock -n 9 || break
done

# The guest's memory is a file, which is best in memory: containers have little of that there.
memory_folder=/dev/shm
[ "$(df --output=avail -k /dev/shm | tail -n 1)" -ge 2097152 ] || memory_folder=$GUEST_JOB

# Consoles: tty0 is the command's output, tty1 its errors, tty2 the kernel's messages. The pipes
# keep the kernel from changing descriptors that it would share with the caller.
mkfifo "$GUEST_JOB/output" "$GUEST_JOB/errors"
cat "$GUEST_JOB/output" &
output=$!
cat "$GUEST_JOB/errors" >&2 &
errors=$!
cd "$GUEST_CACHE" || fail "no folder $GUEST_CACHE"
timeout -k 5 "$LIMIT_S" taskset -c "$cpu" \
  env LD_LIBRARY_PATH="$libraries" LD_PRELOAD="$preload" TMPDIR="$memory_folder" \
  usr/bin/linux.uml mem="$MEMORY" quiet uml_dir="$GUEST_JOB/" umid=guest \
  root=/dev/root rootfstype=hostfs hostfs=/ ro GUEST_JOB="$GUEST_JOB" \
  con=null con0=null,fd:6 con1=null,fd:7 con2=null,fd:8 console=tty2 \
  init=/bin/bash -- "$here/kernel/init.sh" \
  </dev/null 6>"$GUEST_JOB/output" 7>"$GUEST_JOB/errors" 8>"$GUEST_JOB/console" \
  >"$GUEST_JOB/kernel.log" 2>&1 &
kernel=$!
trap 'kill $kernel 2>/dev/null' INT TERM HUP

{
  wait $kernel
  ended=$?
  # A signal ends "wait" too early.
  while kill -0 $kernel; do
    wait $kernel
    ended=$?
  done
} 2>/dev/null
# Helpers of a kernel that did not end by itself.
[ ! -e "$GUEST_JOB/guest/pid" ] || kill -9 -- "-$(cat "$GUEST_JOB/guest/pid")"
wait $output $errors

cp "$GUEST_JOB/console" "$CONSOLE" 2>/dev/null || cat "$GUEST_JOB/console" >"$CONSOLE"
code=$(cat "$GUEST_JOB/exit-code" 2>/dev/null) || { [ $ended = 124 ] && code=124 || code=125; }
case $code in 124 | 125) tail -n 200 "$GUEST_JOB/console" "$GUEST_JOB/kernel.log" >&2 ;; esac
exit "$code"
