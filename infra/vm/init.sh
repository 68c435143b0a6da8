#!/bin/bash
# Process 1 of the virtual machine: finds the project, and lets it go on. All that is in the image is this.
set -eu
exec </dev/console >/dev/console 2>&1
mkdir --parents /mnt/project
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=524288,cache=loose project /mnt/project
exec bash /mnt/project/infra/vm/guest.sh "$@"
