#!/bin/sh
# Installs packages and runs a recipe's commands inside the root directory of an image to be.
#
# Run by build.ts in mount and PID namespaces of its own: every mount made here, and every process that a package
# starts, is gone when this script ends, however it ends.
#
# usage: assemble.sh ROOT [PACKAGE...]
#   LOWER_DIRS, UPPER_DIR, WORK_DIR  when set, ROOT becomes their overlay first, and UPPER_DIR receives all changes
#   COMMANDS                         shell commands to be run inside, as root
set -eu

root=$1
shift

if [ -n "${LOWER_DIRS:-}" ]; then
  # No feature that leaves marks in the upper directory which mean something to this very stack of layers only.
  options=redirect_dir=off,metacopy=off,index=off,xino=off
  mount -t overlay -o "lowerdir=$LOWER_DIRS,upperdir=$UPPER_DIR,workdir=$WORK_DIR,$options" overlay "$root"
else
  # What mmdebstrap copies from the host, or leaves behind, does not belong into an image.
  : >"$root/etc/resolv.conf"
  : >"$root/etc/hostname"
  rm -rf "$root"/dev/*
  find "$root/var/lib/apt/lists" "$root/var/cache/apt" -type f -delete
fi

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o mode=0755,nosuid tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
# Package lists and archives never reach the layer, so nothing of them has to be cleaned out of it.
mount -t tmpfs -o mode=0755 tmpfs "$root/var/lib/apt/lists"
mount -t tmpfs -o mode=0755 tmpfs "$root/var/cache/apt"

mount -t tmpfs -o mode=0755,nosuid tmpfs "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/full" c 1 7
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
ln -s /proc/self/fd "$root/dev/fd"

if [ $# -gt 0 ]; then
  if [ -e /etc/resolv.conf ]; then mount --bind /etc/resolv.conf "$root/etc/resolv.conf"; fi
  apt="chroot $root apt-get --quiet --yes -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0"
  $apt update
  $apt install --no-install-recommends "$@"
  if mountpoint --quiet "$root/etc/resolv.conf"; then umount "$root/etc/resolv.conf"; fi
fi

if [ -n "${COMMANDS:-}" ]; then chroot "$root" sh -eux -c "$COMMANDS"; fi

# Logs, and the previous versions that tools keep of files they change.
find "$root/var/log" -type f -delete
rm -f "$root"/etc/passwd- "$root"/etc/group- "$root"/etc/shadow- "$root"/etc/gshadow- "$root"/etc/subuid- "$root"/etc/subgid- \
  "$root"/var/lib/dpkg/*-old "$root"/var/cache/debconf/*-old "$root"/var/cache/ldconfig/aux-cache
