#!/usr/bin/env bash
# Proves one of the two commands on a machine that has nothing: makes a minimal Debian in a folder of its own, clones
# the project (what is committed) into it, runs that command there, and removes the folder. Needs root and debootstrap.
#
#   scripts/fresh.sh bookworm|trixie demo|test [FOLDER]
#     FOLDER          where the system is made (default: a new folder under TMPDIR); 2 GB free are enough for demo,
#                     6 GB for test
#     DEBIAN_MIRROR   where packages come from (default: this machine's own mirror, else deb.debian.org)
#     KEEP=1          leaves the folder for a look
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  echo "usage: fresh.sh bookworm|trixie demo|test [FOLDER]" >&2
  exit 2
}
suite=${1:-} command=${2:-}
case $suite in bookworm | trixie) ;; *) usage ;; esac
case $command in demo | test) ;; *) usage ;; esac
[ "$(id -u)" = 0 ] || { echo "error: debootstrap and chroot need root; run this with sudo" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "error: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
  grep -m 1 '/debian/$' || true)}
mirror=${mirror:-http://deb.debian.org/debian/}

if [ -n "${3:-}" ]; then
  mkdir -p "$3"
  root=$(realpath "$3")/$suite-$command
  [ ! -e "$root" ] || { echo "error: $root is there already: remove it" >&2; exit 1; }
  mkdir "$root"
else
  root=$(mktemp -d --tmpdir "pixeldp-$suite-$command-XXXXXX")
fi
remove() { [ -n "${KEEP:-}" ] || rm -rf --one-file-system "$root"; }
trap remove EXIT

echo "== $suite: a minimal system in $root"
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || {
  tail -n 20 "$root.log" >&2
  echo "error: debootstrap failed; $root.log has all of it" >&2
  exit 1
}
rm -f "$root.log"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
git -c safe.directory="$PWD" clone --quiet --no-hardlinks "file://$PWD" "$root/root/pixeldp"

# The mounts end with the name space, whatever happens in it.
echo "== $suite: scripts/$command.sh"
begin=$SECONDS
unshare --mount --pid --fork bash -euc '
  mount --bind "$1" "$1"  # first: it would hide what is mounted below
  mount -t proc proc "$1/proc"
  mount --rbind /sys "$1/sys"  # Open MPI looks for the processors there
  mount --rbind /dev "$1/dev"
  exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" \
    "/root/pixeldp/scripts/$2.sh" </dev/null' bash "$root" "$command"
echo "== $suite: scripts/$command.sh passed in $((SECONDS - begin)) s"
