# npm packages, and Node 24 among them. Sourced by infra/setup.sh.

readonly NODE_MAJOR=24

# npm 9, which Debian 12 has, and npm 10 install neither the link to node-linux-*'s program nor packages that name a libc.
readonly NPM_MAJOR=11

install_npm_packages() {
  # npm writes node_modules/.package-lock.json last, so it is missing or old after an installation that was cut short.
  if [[ ! -e node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
    command -v npm >/dev/null || fail "npm is missing" "install it, e.g. apt-get install npm"
    step "installing npm packages (Node $NODE_MAJOR among them)"
    # The engines warnings are about the system's Node, which runs npm and nothing else.
    show '^\(added .* packages\).*$' recent_npm ci --loglevel=error ||
      fail "npm ci failed" "check that npm can reach its registry: npm ping"
    touch node_modules/.package-lock.json
  fi

  local version
  version=$(PATH="$PWD/node_modules/.bin:$PATH" node --version 2>/dev/null || true)
  version=${version#v}
  [[ ${version%%.*} =~ ^[0-9]+$ ]] && ((${version%%.*} >= NODE_MAJOR)) ||
    fail "node is ${version:-missing}: longshore needs Node $NODE_MAJOR or later" \
      "delete node_modules and try again (its optional package node-linux-* brings one), or install Node $NODE_MAJOR"
}

# The system's npm, or where that is too old a newer one, which it fetches together with a Node that can run it.
recent_npm() {
  local version arch
  version=$(npm --version)
  if ((${version%%.*} >= NPM_MAJOR)); then
    npm "$@"
  else
    arch=$(node --print process.arch)
    npm exec --yes --loglevel=error --package="node-linux-$arch@$NODE_MAJOR" --package="npm@$NPM_MAJOR" -- npm "$@"
  fi
}
