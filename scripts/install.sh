#!/usr/bin/env bash
# Installs the Debian packages that the project needs, as far as they are missing. Asks nothing.
#
#   scripts/install.sh [--test] [--demo]
#     --test  also what scripts/test.sh needs: formatter, clang, libFuzzer, Open MPI
#     --demo  also the data set of scripts/demo.sh
set -euo pipefail

packages=(g++ cmake ninja-build libdnnl-dev libfmt-dev libcli11-dev libyaml-cpp-dev
  nlohmann-json3-dev zlib1g-dev libpng-dev libjpeg-dev libssl-dev doctest-dev libboost-math-dev)
for option in "$@"; do
  case $option in
    --test) packages+=(git python3 xz-utils clang-format clang libclang-rt-dev openmpi-bin libopenmpi-dev) ;;
    --demo) packages+=(dataset-fashion-mnist) ;;
    *)
      echo "usage: install.sh [--test] [--demo]" >&2
      exit 2
      ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=unknown
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

give_up() {
  echo "error: $1; install these packages (Debian's names): ${missing[*]}" >&2
  exit 1
}
command -v apt-get >/dev/null || give_up "apt-get is not available"
as_root=()
if [ "$(id -u)" != 0 ]; then
  line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  if ! command -v sudo >/dev/null; then
    give_up "this needs root, and sudo is not available: as root, run '$line'"
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  elif [ -t 2 ]; then
    as_root=(sudo)  # which asks for the password on the terminal
  else
    echo "error: sudo wants a password, and there is no terminal to ask on; paste this, then start again:" >&2
    echo "  sudo apt-get update && sudo ${line#*&& }" >&2
    exit 1
  fi
fi

echo "installing: ${missing[*]}"
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" \
    </dev/null
}
apt update || give_up "apt-get update failed"
apt install -y --no-install-recommends "${missing[@]}" || give_up "apt-get install failed"
