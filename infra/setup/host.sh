# What no package can bring: the system, the kernel, the rights. Sourced by infra/setup.sh.

readonly OLDEST_KERNEL=6.1

check_system() {
  [[ $(uname -s) == Linux ]] ||
    fail "this is $(uname -s): longshore runs on Linux" "use a Linux machine or virtual machine, such as Debian 12"
  case $(uname -m) in
  x86_64 | aarch64) ;;
  *) fail "this is a $(uname -m) machine: longshore runs on x86_64 and aarch64" "use one of these" ;;
  esac
}

# Containers need root on the host; what exactly the kernel offers is for `longshore doctor` to say.
check_worker_host() {
  ((EUID == 0)) || fail "a worker must be root to make containers" "run it as root, e.g. sudo npm start"
  local release
  release=$(uname -r)
  # sort -V puts the older version first.
  [[ $(printf '%s\n' "$OLDEST_KERNEL" "${release%%-*}" | sort -V | head -n 1) == "$OLDEST_KERNEL" ]] ||
    fail "linux $release is too old: containers need $OLDEST_KERNEL or later" \
      "install a newer kernel, e.g. that of Debian 12, and restart the machine"
}
