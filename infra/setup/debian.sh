# Debian packages, installed only for what is missing. Sourced by infra/setup.sh.
#
# The need_* functions look for the thing, not for the package: what came another way is just as good.

missing_packages=()

need_command() { command -v "$1" >/dev/null || missing_packages+=("$2"); }

need_file() { [[ -e $1 ]] || missing_packages+=("$2"); }

need_library() {
  # No pipe into `grep -q`: it would end at the first match, ldconfig by SIGPIPE, and pipefail would call that missing.
  [[ $(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p) == *"$1 "* ]] || missing_packages+=("$2")
}

install_debian_packages() {
  ((${#missing_packages[@]})) || return 0
  local way_out="install by hand: apt-get install ${missing_packages[*]}"
  command -v apt-get >/dev/null ||
    fail "missing: ${missing_packages[*]} (names of Debian packages), and there is no apt-get here" \
      "install the same with this system's own package tool"
  ((EUID == 0)) || fail "missing Debian packages: ${missing_packages[*]}" "$way_out"

  step "installing Debian packages: ${missing_packages[*]}"
  packages_known || update_package_lists
  if ! apt_install; then
    # Lists that are there but old name versions that the mirror no longer has.
    update_package_lists
    apt_install || fail "cannot install Debian packages: ${missing_packages[*]}" "$way_out"
  fi
}

packages_known() {
  local package
  for package in "${missing_packages[@]}"; do
    # `apt-cache policy` prints nothing, or `Candidate: (none)`, for what the lists do not offer.
    [[ $(LC_ALL=C apt-cache policy "$package" 2>/dev/null) == *'Candidate: '[0-9]* ]] || return 1
  done
}

update_package_lists() {
  step "updating the lists of Debian packages"
  # A third-party list that cannot be reached is no reason to stop: the installation tells whether it mattered.
  show '^\(Get:[0-9]* .*\)$' apt-get update || step "some package lists could not be updated"
}

apt_install() {
  local status=0
  forbid_services
  DEBIAN_FRONTEND=noninteractive show '^Setting up \([^ ]*\) .*' \
    apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing_packages[@]}" || status=$?
  allow_services
  if ((status == 0)); then
    local service
    for service in redis-server docker-registry; do
      if [[ " ${missing_packages[*]} " == *" $service "* ]]; then disable_service "$service"; fi
    done
  fi
  return "$status"
}

# Debian's redis-server and docker-registry start system services as they are installed. Longshore wants only the
# programs: policy-rc.d is Debian's way to say so (invoke-rc.d(8)), with systemd and without. An administrator's own stays.
readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_MARK="# Made by longshore's set-up while it installs packages; may be deleted."

forbid_services() {
  allow_services
  [[ -e $POLICY ]] && return 0
  trap allow_services EXIT
  printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
  chmod +x "$POLICY"
}

allow_services() {
  if [[ -e $POLICY ]] && grep -qxF "$POLICY_MARK" "$POLICY"; then rm -f "$POLICY"; fi
}

# The package was not there a moment ago, so what runs or is enabled now is of our own making: an administrator's
# policy-rc.d may have allowed the start, and the next boot would start it in any case.
disable_service() {
  local PATH="$PATH:/usr/sbin:/sbin"
  service "$1" stop >/dev/null 2>&1 || true
  update-rc.d "$1" disable >/dev/null 2>&1 || true
}
