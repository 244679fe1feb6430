# The guest's first process: bash reads this as pid 1, with the host's / as a root that can't be
# written. It lays a tmpfs over it, loads the modules, runs the command and powers off.
#
# GUEST_JOB is a folder of the host: run-in-kernel.sh leaves the settings and the command there,
# and finds the exit code.
set -u
. "$GUEST_JOB/settings" # GUEST_CACHE, MODULES[], LIMIT_S

power_off() {
  # reboot(2) with LINUX_REBOOT_CMD_POWER_OFF, at once: nothing here is to be kept.
  perl -e 'syscall(169, 0xfee1dead, 672274793, 0x4321fedc, 0)'
}
trap power_off EXIT

# Any file may be written to, and none of it reaches the host.
lay_over_root() {
  "$GUEST_CACHE/sbin/modprobe" -d "$GUEST_CACHE" overlay &&
    mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root &&
    mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root &&
    cd /mnt/root && mkdir -p usr/sbin usr/lib proc sys dev run mnt &&
    cp --remove-destination "$GUEST_CACHE"/sbin/* usr/sbin/ &&
    rm -rf usr/lib/modules && ln -s "$GUEST_CACHE/lib/modules" usr/lib/modules
}

fill_folders() {
  for name in proc sys dev; do mount -n --move "/$name" "$name" || return; done
  mkdir -p dev/pts dev/shm
  mount -t devpts devpts dev/pts && mount -t tmpfs tmpfs dev/shm &&
    mount -t tmpfs tmpfs run || return
  ln -s /proc/self/fd dev/fd
  for name in stdin:0 stdout:1 stderr:2; do
    ln -s "/proc/self/fd/${name#*:}" "dev/${name%:*}"
  done
  mkdir run/lock run/job && mount -t hostfs -o "$GUEST_JOB" job run/job
}

mount -t proc proc /proc && mount -t sysfs sysfs /sys || exit
lay_over_root && fill_folders || exit
# Not chroot: in one, user namespaces could not be made.
pivot_root . mnt && cd / && umount -l /mnt || exit
# shellcheck disable=SC2086 # a module and its parameters
for module in "${MODULES[@]}"; do modprobe $module || exit; done
ip link set lo up
echo guest >/proc/sys/kernel/hostname
echo 1 >/proc/sys/kernel/sysrq

# The consoles pass bytes as they are; a pipe before each keeps the command from a terminal.
stty -opost </dev/tty0
stty -opost </dev/tty1
mkfifo /run/output /run/errors
cat /run/output >/dev/tty0 &
output=$!
cat /run/errors >/dev/tty1 &
errors=$!
# Who hangs is on the console's log when the time is up.
(sleep $((LIMIT_S - 3)) && echo w >/proc/sysrq-trigger) 2>/dev/null &
setsid bash /run/job/command </dev/null >/run/output 2>/run/errors
echo $? >/run/job/exit-code
for _ in {1..20}; do
  kill -0 $output 2>/dev/null || kill -0 $errors 2>/dev/null || break
  sleep 0.1
done
sync -f /run/job
