#!/bin/sh
# Fails when the committed launcher is not what its source builds to.
set -eu
cd "$(dirname "$0")"
built=$(mktemp)
trap 'rm -f "$built"' EXIT
./build.sh "$built"
if ! cmp -s "$built" launcher-x64; then
    echo "worker/linux/launcher/launcher-x64 differs from what launcher.c builds to: run build.sh with $(gcc --version | head -n 1) and commit the result" >&2
    exit 1
fi
