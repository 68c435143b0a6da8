#!/usr/bin/env bash
# Brings a machine to where Longshore runs, and does nothing where that is already so.
#
#   infra/setup.sh api|worker|start|test|v2
#
# api     the npm packages (no root needed)
# worker  also libseccomp, the tools images are built with, and the first image
# start   also redis-server, unless REDIS_URL names one
# test    also what the tests compare with and compile with
# v2      what a worker needs, and the virtual machine of infra/vm
#
# This part is bash because it runs before Node 24 is there; as soon as it is, infra/setup.ts takes over.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=${1:-start}

# shellcheck source-path=SCRIPTDIR
source infra/setup/report.sh
source infra/setup/host.sh
source infra/setup/debian.sh
source infra/setup/node.sh

case $profile in
api | worker | start | test | v2) ;;
*) fail "unknown profile $profile" "infra/setup.sh api|worker|start|test|v2" ;;
esac

# Two starts at the same time take turns; the kernel drops the lock with the process.
exec 9<infra/setup.sh
flock --nonblock 9 || { step "waiting for another set-up of this checkout" && flock 9; }

check_system
if [[ $profile != api ]]; then
  check_worker_host
  need_command setpriv util-linux
  need_command tar tar
  need_command mmdebstrap mmdebstrap
  need_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
  need_file /etc/ssl/certs/ca-certificates.crt ca-certificates
  need_library libseccomp.so.2 libseccomp2
fi
if [[ $profile == test || ($profile == start && -z ${REDIS_URL:-}) ]]; then
  need_command redis-server redis-server
fi
if [[ $profile == test ]]; then
  need_command gcc gcc
  need_file /usr/include/stdio.h libc6-dev
  need_command crun crun
  need_command runc runc
  need_command bwrap bubblewrap
  need_command docker-registry docker-registry
  need_command skopeo skopeo
  need_command umoci umoci
  need_command openssl openssl
  need_file /usr/sbin/mke2fs e2fsprogs
fi
if [[ $profile == v2 ]]; then
  need_command qemu-system-x86_64 qemu-system-x86
  need_file /usr/sbin/mke2fs e2fsprogs
fi
install_debian_packages
install_npm_packages

exec 9<&-
PATH="$PWD/node_modules/.bin:$PATH" exec node infra/setup.ts "$profile"
