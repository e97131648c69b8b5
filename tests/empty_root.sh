# For tests of what must run where nothing is installed; they source this. A root directory that holds nothing but
# glibc, /proc, /dev/null and an empty /tmp. Exits with 77 (skipped) where none can be made: it takes root, or user
# name spaces.

as_root=(unshare --mount --pid --fork)
[ "$(id -u)" = 0 ] || as_root=(unshare --map-root-user --mount --pid --fork)
"${as_root[@]}" true 2>/dev/null || { echo "skipped: name spaces are not allowed here"; exit 77; }

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
root=$place/root
mkdir -p "$root"/{proc,tmp,dev,lib64} "$root/lib/x86_64-linux-gnu"
touch "$root/dev/null"
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64"
for name in libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1; do
  cp -L "/lib/x86_64-linux-gnu/$name" "$root/lib/x86_64-linux-gnu"
done

# in_root PROGRAM ARGUMENTS...
in_root() {
  "${as_root[@]}" bash -euc 'mount -t proc proc "$1/proc"; mount --bind /dev/null "$1/dev/null"
    exec env -i PATH=/bin "$(command -v chroot)" "$@"' bash "$root" "$@"
}

# give_to_root PROGRAM...: with their libraries.
give_to_root() {
  local name program
  mkdir -p "$root/bin"
  for name in "$@"; do
    program=$(command -v "$name")
    cp -L "$program" "$root/bin/$name"
    ldd "$program" | awk '$2 == "=>" { print $3 }' | xargs -r cp -nLt "$root/lib/x86_64-linux-gnu"
  done
}
