#!/bin/sh
# Builds the launcher: `build.sh [OUTPUT]`. The committed binary is made by Debian 12's gcc; check.sh compares.
set -eu
cd "$(dirname "$0")"
gcc -std=gnu17 -Os -Wall -Wextra -Werror -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables \
    -fno-pic -mno-sse -fcf-protection=none -nostdlib -static -no-pie -s \
    -Wl,--build-id=none,-z,norelro,-z,noseparate-code,-z,noexecstack,-n \
    -o "${1:-launcher-x64}" launcher.c
objcopy --remove-section .comment --remove-section .note.gnu.property "${1:-launcher-x64}" 2>/dev/null || true
