# What no package can bring: the system, the kernel, the rights. Sourced by infra/setup.sh.

readonly OLDEST_KERNEL=6.1

check_system() {
  [[ $(uname -s) == Linux ]] ||
    fail "this is $(uname -s): longshore runs on Linux" "use a Linux machine or virtual machine, such as Debian 12"
}

# Containers need root on the host; what exactly the kernel offers is for `longshore doctor` to say.
check_worker_host() {
  # The launcher and the numbers of the system calls are those of x86_64. The API runs wherever Node does.
  [[ $(uname -m) == x86_64 ]] || fail "this is a $(uname -m) machine: workers run on x86_64" "use an x86_64 machine"
  ((EUID == 0)) || fail "a worker must be root to make containers" "run it as root, e.g. sudo npm start"
  local release
  release=$(uname -r)
  # sort -V puts the older version first.
  [[ $(printf '%s\n' "$OLDEST_KERNEL" "${release%%-*}" | sort -V | head -n 1) == "$OLDEST_KERNEL" ]] ||
    fail "linux $release is too old: containers need $OLDEST_KERNEL or later" \
      "install a newer kernel, e.g. that of Debian 12, and restart the machine"
}
