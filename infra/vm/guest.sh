#!/bin/bash
# Runs one command in the virtual machine, as process 1, then ends the machine with the command's status.
#
#   guest.sh WORD…    the words are percent-encoded, as a kernel's command line has no way to quote
#
# The command finds what systemd gives a service with Delegate=yes: pure cgroup v2, all controllers, a cgroup of its own
# below the root of the machine.
set -u

# Writing N to this port of QEMU's isa-debug-exit ends it with the exit code 2N+1; 1 is QEMU's own for an error.
readonly DEBUG_EXIT=$((0xf4)) STATUS_MAX=126
finish() {
  local status=$(($1 < STATUS_MAX ? $1 : STATUS_MAX))
  printf "\\x$(printf '%x' $((status + 1)))" | dd of=/dev/port bs=1 seek="$DEBUG_EXIT" status=none
}

mountpoint --quiet /proc || mount -t proc proc /proc
mountpoint --quiet /sys || mount -t sysfs sysfs /sys
mountpoint --quiet /dev || mount -t devtmpfs devtmpfs /dev
# Without udev nobody makes the device by which it would be loaded.
modprobe loop
ln -sfn /proc/self/fd /dev/fd
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
echo "127.0.0.1 localhost" >/etc/hosts

# The host's files stay as they are: what is written beside them goes to the machine's own disk.
readonly PROJECT=/srv/longshore
mkdir -p "$PROJECT" /var/lib/project/{changes,work}
mount -t overlay -o lowerdir=/mnt/project,upperdir=/var/lib/project/changes,workdir=/var/lib/project/work \
  project "$PROJECT"

export LONGSHORE_DATA=/var/lib/longshore
mkdir -p "$LONGSHORE_DATA/images"
mount /dev/vdb "$LONGSHORE_DATA/images"

readonly SERVICE=/sys/fs/cgroup/longshore.service
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo "+cpu +memory +pids +cpuset" >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$SERVICE"

command=()
for word; do command+=("$(printf '%b' "${word//%/\\x}")"); done

export HOME=/root LC_ALL=C.UTF-8 NO_COLOR=1
# Tests start hundreds of programs, which spend most of an emulated start on stripping types.
export NODE_COMPILE_CACHE=/var/cache/node TEST_PATIENCE_MS=600000
export PATH="$PROJECT/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
echo "linux $(uname -r), $(nproc) processors, ready after $(cut -d ' ' -f 1 /proc/uptime) s"
# Through a pipe: nothing redraws its progress there.
(
  echo "$BASHPID" >"$SERVICE/cgroup.procs"
  cd "$PROJECT" || exit
  node worker/commands/doctor.ts
  exec "${command[@]}" </dev/null
) 2>&1 | cat
status=${PIPESTATUS[0]}

# A cgroup with something in it is what no container, worker or test may leave.
left=$(find "$SERVICE" -mindepth 1 -name cgroup.procs -exec grep -H . {} +)
[[ -z $left ]] || { echo "left behind: $left" && status=1; }
left=$(find "$SERVICE" -mindepth 2 -type d)
[[ -z $left ]] || { echo "left behind: $left" && status=1; }
finish "$status"
