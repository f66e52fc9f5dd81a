#!/usr/bin/env bash
# Installs the packages Shoehorn needs and this machine lacks (Debian 12, Ubuntu 24.04 or newer).
#
#   tools/setup.sh build    compiler, build tools, libraries; pip, which fetches the default model
#   tools/setup.sh test     these, and clang with libFuzzer
#   tools/setup.sh format   clang-format alone
#
# Says what it installs, asks nothing, and touches nothing where nothing is missing.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build ccache pkg-config ca-certificates
  libfmt-dev libspdlog-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libutf8proc-dev
  liburing-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  python3 python3-pip
)
test_packages=("${build_packages[@]}" clang libclang-rt-dev)
format_packages=(clang-format)

case "${1:-build}" in
  build) packages=("${build_packages[@]}") ;;
  test) packages=("${test_packages[@]}") ;;
  format) packages=("${format_packages[@]}") ;;
  *)
    echo "usage: tools/setup.sh [build|test|format]" >&2
    exit 2
    ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "setup: no apt-get here; needed by the names of Debian's packages: ${packages[*]}"
  exit 0
fi

# dpkg-query fails for a package that it has never heard of; the others are still listed.
installed=$(dpkg-query --show --showformat='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" \
  2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -q "^ii *${package}\$" <<<"$installed" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "setup: neither root nor sudo here; as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "setup: apt-get $1 failed" >&2
    exit 1
  fi
}

echo "setup: installing ${missing[*]}"
apt update
apt install --no-install-recommends "${missing[@]}"
