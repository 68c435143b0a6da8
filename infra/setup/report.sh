# What the set-up says, and how it fails. Sourced by infra/setup.sh.

step() { printf 'longshore: %s\n' "$*" >&2; }

# fail WHAT WAY-OUT: ends the set-up.
fail() {
  printf 'longshore: %s\n           %s\n' "$1" "$2" >&2
  exit 1
}

# show PATTERN COMMAND…: runs COMMAND, shows the part of its lines that PATTERN's group matches while it works,
# and all of its last lines when it fails.
show() {
  local pattern=$1 log started=$SECONDS
  shift
  log=$(mktemp)
  if "$@" 2>&1 | tee "$log" | sed -un "s/$pattern/           \1/p" >&2; then
    rm -f "$log"
    step "done in $((SECONDS - started)) s"
    return 0
  fi
  tail -n 25 "$log" >&2
  rm -f "$log"
  return 1
}
