#!/bin/bash
# Puts Debian's user-mode-linux kernel, its modules and kmod into the folder $GUEST_CACHE. Nothing
# is installed. With GUEST_SUITE it is the kernel of that Debian suite, with the libc that it wants.
#
# The last line of standard error says what went wrong.
set -euo pipefail
here=$(dirname "$(realpath "$0")")

# Raise it when what lies in the folder changes.
readonly LAYOUT=1

mkdir -p "$GUEST_CACHE"
cd "$GUEST_CACHE"
exec 5>lock
flock 5
[ "$(cat layout 2>/dev/null)" != "$LAYOUT" ] || exit 0

# With the system's own lists of packages where they will do, as they may be a moment old.
download() {
  apt-get "$@" >apt.log 2>&1 && return
  apt-get "${@:1:$#-apt_words}" update >apt.log 2>&1 || true
  apt-get "$@" >apt.log 2>&1 || { tail -n 3 apt.log >&2; exit 1; }
}

# Another suite's lists lie in the folder: the system's stay as they are.
suite_options() {
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 '/debian/$')
  mkdir -p apt/lists/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $GUEST_SUITE main" \
    >apt/sources
  printf '%s\n' -o "Dir::Etc::sourcelist=$PWD/apt/sources" -o Dir::Etc::sourceparts=- \
    -o "Dir::State::lists=$PWD/apt/lists" -o "Dir::Cache=$PWD/apt"
}

fetch() {
  local -i apt_words=$#
  apt_words+=1
  download ${options[@]+"${options[@]}"} download "$@"
  for package in ./*.deb; do dpkg -x "$package" .; done
  rm -f ./*.deb
}

options=()
fetch kmod libkmod2
if [ -z "${GUEST_SUITE:-}" ]; then
  fetch user-mode-linux
else
  mapfile -t options < <(suite_options)
  fetch user-mode-linux libc6
  rm -rf apt
  # It must not run with the system's older libc. The path is relative to this folder, in which
  # the kernel is started, and takes the place of the longer one in the program's header.
  ln -sfn usr/lib64/ld-linux-x86-64.so.2 ld
  perl -pi -e 's!/lib64/ld-linux-x86-64\.so\.2\0!"ld" . "\0" x 26!e' usr/bin/linux.uml
fi

mkdir -p sbin
for name in modprobe insmod rmmod lsmod modinfo depmod; do
  cp --remove-destination bin/kmod "sbin/$name"
done
ln -sfn ../usr/lib/uml/modules lib/modules
cc -O2 -shared -fPIC -o ptrace-shim.so "$here/ptrace-shim.c" -ldl ||
  echo 'no C compiler, so the guest may not start on newer processors' >&2
echo "$LAYOUT" >layout
